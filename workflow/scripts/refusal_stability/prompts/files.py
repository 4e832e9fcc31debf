"""Prompts of a user's own file: CSV, JSONL or Parquet, refused by line if they are wrong.

Only the standard library at import: the file is checked while the workflow is planned, in
Snakemake's own environment.
"""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from refusal_stability.core.errors import InputError

_EMPTY = "the {} is empty. Hint: fill it in or remove the row"


def read_prompt_file(path: Path) -> Iterator[tuple[str, str, str | None]]:
    """Yield (place, prompt, category) of each row; the place names file and line.

    The file needs a column ``prompt``; a column ``category`` is optional, others are ignored.

    Raises:
        InputError: the file is unreadable, empty, without the column, or a prompt is empty.
    """
    readers = {".csv": _csv, ".jsonl": _jsonl, ".parquet": _parquet}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise InputError(
            f"{path}: unknown kind of file. Hint: give a .csv, .jsonl or .parquet file"
        )
    empty = True
    try:
        for place, row in reader(path):
            empty = False
            yield place, *checked_row(place, row)
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text. Hint: save the file as UTF-8") from error
    except OSError as error:
        # polars raises some without the operating system's words.
        reason = error.strerror or "No such file or directory"
        raise InputError(f"{path}: cannot be read ({reason}). Hint: check the path") from error
    if empty:
        raise InputError(f"{path}: there are no rows. Hint: give at least one prompt")


def checked_row(place: str, row: dict[str, Any], what: str = "prompt") -> tuple[str, str | None]:
    """Return (prompt, category) of a row; ``what`` is the prompt called in messages.

    Raises:
        InputError: the prompt is empty or not text, or the row cannot be stored as UTF-8.
    """
    prompt, category = row.get("prompt"), row.get("category")
    if prompt is None or prompt == "":
        raise InputError(f"{place}: {_EMPTY.format(what)}")
    if not isinstance(prompt, str):
        raise InputError(f"{place}: the {what} is not text. Hint: put it in quotes")
    if not prompt.strip():
        raise InputError(f"{place}: {_EMPTY.format(what)}")
    category = None if category in (None, "") else str(category)
    try:
        (prompt + (category or "")).encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"{place}: the row holds half of a character. Hint: mend its \\u escapes"
        ) from error
    return prompt, category


def _missing_column(place: Path | str, columns: list[str]) -> InputError:
    return InputError(
        f"{place}: there is no column 'prompt', only {', '.join(columns) or 'nothing'}. "
        "Hint: rename the column that holds the prompts"
    )


def _csv(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True)
        start = 1
        try:
            header = next(reader, [])
            if "prompt" not in header:
                raise _missing_column(path, header)
            blank: int | None = None
            start = reader.line_num + 1
            for values in reader:
                place = f"{path}, line {start}"
                if not values:
                    blank = blank or start
                else:
                    # A blank line matters only if rows follow it; files often end with one.
                    if blank is not None:
                        raise InputError(f"{path}, line {blank}: {_EMPTY.format('prompt')}")
                    if len(values) != len(header):
                        raise InputError(
                            f"{place}: {len(values)} values for {len(header)} columns. "
                            "Hint: put a text with commas in double quotes"
                        )
                    yield place, dict(zip(header, values, strict=True))
                start = reader.line_num + 1
        except csv.Error as error:
            raise InputError(
                f"{path}, line {start}: not CSV ({error}). Hint: write a quote "
                "inside a quoted text twice"
            ) from error


def _jsonl(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    with path.open(encoding="utf-8-sig") as file:
        blank: int | None = None
        for number, line in enumerate(file, start=1):
            place = f"{path}, line {number}"
            if not line.strip():
                blank = blank or number
                continue
            if blank is not None:
                raise InputError(f"{path}, line {blank}: {_EMPTY.format('prompt')}")
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise InputError(f"{place}: not JSON. Hint: write one object a line") from error
            if not isinstance(row, dict):
                raise InputError(f"{place}: not a JSON object. Hint: write one object a line")
            if "prompt" not in row:
                raise _missing_column(place, list(row))
            yield place, row


def _parquet(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    import polars as pl

    try:
        table = pl.read_parquet(path, glob=False)
    except pl.exceptions.PolarsError as error:
        raise InputError(f"{path}: not a Parquet file. Hint: write it again") from error
    if "prompt" not in table.columns:
        raise _missing_column(path, table.columns)
    for number, row in enumerate(table.iter_rows(named=True), start=1):
        yield f"{path}, row {number}", row
