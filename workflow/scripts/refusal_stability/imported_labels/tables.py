"""Files of labels: CSV or Parquet, their columns as text, and the place of each row.

Only the standard library at import: a run from labels is planned in Snakemake's own environment.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from refusal_stability.core.errors import InputError

if TYPE_CHECKING:
    import polars as pl

KINDS = (".csv", ".parquet")
# What a file of labels must have.
LABEL_COLUMNS = ("model", "prompt_id", "temperature", "seed", "label", "judge")


def read_table(
    path: Path,
    columns: Sequence[str],
    optional: Sequence[str] = (),
    shape: Callable[[pl.LazyFrame], pl.LazyFrame] = lambda table: table,
) -> pl.DataFrame:
    """Return columns of a file as text, rows in their order, empty texts as null.

    Args:
        path: a .csv or .parquet file.
        columns: the columns that the file must have; others are not read.
        optional: columns that are read if the file has them.
        shape: what is done while reading, so that a large file is never in memory as text.

    Raises:
        InputError: the file is missing, unreadable, not UTF-8, lacks a column or has no rows.
    """
    import polars as pl

    there = checked_columns(path, columns)
    wanted = [*columns, *(column for column in optional if column in there)]
    for column in wanted:
        if there.count(column) > 1:
            raise InputError(f"{path}: two columns are named '{column}'. Hint: rename one of them")
    if is_csv(path):
        # Without inference a number stays as it is spelt.
        scan = pl.scan_csv(path, infer_schema=False, glob=False)
    else:
        scan = pl.scan_parquet(path, glob=False)
    text = scan.select(pl.col(column).cast(pl.String) for column in wanted)
    # A quoted empty text and an empty one are the same to the reader of the file.
    text = text.with_columns(pl.when(pl.all() != "").then(pl.all()))
    try:
        table = shape(text).collect(engine="streaming")
    except (OSError, pl.exceptions.PolarsError) as error:
        raise InputError(_mistake(path, len(there), error)) from error
    if table.is_empty():
        raise InputError(f"{path}: there are no rows. Hint: leave the file out, or fill it")
    return table


def is_csv(path: Path) -> bool:
    """Tell whether a file is read as CSV, by its ending."""
    return path.suffix.lower() == ".csv"


def checked_columns(path: Path, columns: Sequence[str]) -> list[str]:
    """Return the names of a file's columns. Raises InputError if one of ``columns`` is missing."""
    there = columns_of(path)
    if not there:
        raise InputError(f"{path}: the file is empty. Hint: leave it out, or fill it")
    for column in columns:
        if column not in there:
            raise InputError(
                f"{path}: there is no column '{column}', only {', '.join(there)}. "
                f"Hint: {_not_commas(there)}the file needs the columns {', '.join(columns)}"
            )
    return there


def _not_commas(there: list[str]) -> str:
    apart = {";": "semicolons", "\t": "tabs"}
    found = [word for sign, word in apart.items() if len(there) == 1 and sign in there[0]]
    return f"separate columns by commas, not by {found[0]}; " if found else ""


def columns_of(path: Path) -> list[str]:
    """Return the names of a file's columns. Raises InputError if they cannot be read."""
    if path.suffix.lower() not in KINDS:
        raise InputError(f"{path}: unknown kind of file. Hint: give a .csv or .parquet file")
    if not path.is_file():
        raise InputError(
            f"{path}: no such file. Hint: give a path from the folder in which snakemake runs"
        )
    return _csv_columns(path) if is_csv(path) else list(_parquet_schema(path))


def is_spelt(path: Path, column: str) -> bool:
    """Tell whether a file holds a column as text, where one number may be spelt in two ways."""
    return is_csv(path) or not _parquet_schema(path)[column].is_numeric()


def _csv_columns(path: Path) -> list[str]:
    try:
        with _open_csv(path) as file:
            return next(csv.reader(file), [])
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(_mistake(path, 0, error)) from error
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}). Hint: check the file"
        ) from error


def _parquet_schema(path: Path) -> pl.Schema:
    import polars as pl

    try:
        return pl.scan_parquet(path, glob=False).collect_schema()
    except (OSError, pl.exceptions.PolarsError) as error:
        raise InputError(f"{path}: not a Parquet file. Hint: write it again") from error


def place(path: Path, row: int) -> str:
    """Name the place of a row, counted from 0: its line in a CSV file, its row in Parquet."""
    if is_csv(path):
        try:
            with _open_csv(path) as file:
                reader = csv.reader(file)
                # The header and the rows before it, which may have several lines each.
                deque(islice(reader, row + 1), maxlen=0)
                return f"{path}, line {reader.line_num + 1}"
        except csv.Error:
            # A field longer than the csv module takes; polars has read it.
            pass
    return f"{path}, row {row + 1}"


def _open_csv(path: Path) -> TextIO:
    return path.open(encoding="utf-8-sig", newline="")


def _mistake(path: Path, width: int, error: Exception) -> str:
    """Say what is wrong with a file that polars cannot read, which rarely tells the line."""
    if not is_csv(path):
        return (
            f"{path}: a column cannot be read as text ({_first_line(error)}). "
            "Hint: write the file again, with columns of text and numbers"
        )
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode()
            except UnicodeDecodeError:
                return f"{path}, line {number}: not UTF-8 text. Hint: save the file as UTF-8"
    quotes = "Hint: write a quote inside a quoted text twice, and only there"
    start = 1
    with _open_csv(path) as file:
        reader: Any = csv.reader(file, strict=True)
        try:
            for values in reader:
                if len(values) > width:
                    return (
                        f"{path}, line {start}: {len(values)} values for {width} columns. "
                        "Hint: put a text with commas in double quotes"
                    )
                start = reader.line_num + 1
        except csv.Error as csv_error:
            return f"{path}, line {start}: not CSV ({csv_error}). {quotes}"
    return f"{path}: not CSV. {quotes}"


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
