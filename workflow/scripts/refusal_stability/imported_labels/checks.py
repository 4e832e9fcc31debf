"""What must hold of label files: each check raises one line that names file and row."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from refusal_stability.core.cells import temperature_text
from refusal_stability.core.errors import InputError
from refusal_stability.core.labels import LABELS
from refusal_stability.imported_labels.tables import is_spelt, place

if TYPE_CHECKING:
    from refusal_stability.imported_labels.files import LabelFiles

_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_INTEGER = re.compile(r"[+-]?[0-9]+")
_SHA256 = "^[0-9a-f]{64}$"
_LARGEST_SEED = 2**63 - 1
_RESPONSE = ["model", "temperature", "seed", "prompt_id"]


def check_filled(files: LabelFiles, columns: Sequence[str]) -> None:
    """Refuse an empty value."""
    for column in columns:
        empty = files.rows[column].is_null()
        if empty.any():
            raise InputError(
                f"{files.place(empty.arg_max())}: the {column} is empty. "
                "Hint: fill it in or remove the row"
            )
        for text in files.texts(column):
            if not text.strip():
                raise InputError(
                    f"{files.place_of(column, text)}: the {column} is blank. "
                    "Hint: fill it in or remove the row"
                )


def check_labels(files: LabelFiles) -> None:
    """Refuse a label that is not known."""
    for text in files.texts("label"):
        if text not in LABELS:
            # Only what is as short as a label is shown: the rest may be a reply.
            shown = f"the label {text!r}" if len(text) <= 20 else "the label"
            raise InputError(
                f"{files.place_of('label', text)}: {shown} is not one of {', '.join(LABELS)}. "
                "Hint: replace it, in capitals; ERROR is for what is no label"
            )


def check_hashes(files: LabelFiles) -> None:
    """Refuse what is not the hash of a response."""
    wrong = ~files.rows["response_sha256"].str.contains(_SHA256)
    if wrong.any():
        raise InputError(
            f"{files.place(wrong.arg_max())}: the response_sha256 is not 64 digits of 0-9 and "
            "a-f. Hint: mend it or leave it empty"
        )


def checked_temperatures(files: LabelFiles) -> dict[str, str]:
    """Return {spelling: as it is written in tables}; one temperature has one spelling."""
    texts: dict[str, str] = {}
    # Of each temperature: what was found first, and in which file.
    spelt: dict[str, tuple[str, int]] = {}
    values: dict[str, tuple[str, int]] = {}
    for number, path in enumerate(files.paths):
        is_text = is_spelt(path, "temperature")
        for spelling in files.file_rows(number)["temperature"].unique(maintain_order=True):
            value = float(spelling) if _NUMBER.fullmatch(spelling) else math.nan
            if not 0 <= value < math.inf:
                raise InputError(
                    f"{files.place_of('temperature', spelling, number)}: the temperature "
                    f"{spelling!r} is not a number from 0. Hint: write it as 0.7"
                )
            text = texts[spelling] = temperature_text(value)
            first, file = values.setdefault(text, (spelling, number))
            how = f"differ but are both written {text}" if float(first) != value else ""
            if is_text and not how:
                first, file = spelt.setdefault(text, (spelling, number))
                how = "are two spellings of one temperature" if first != spelling else ""
            if how:
                raise InputError(
                    f"{files.place_of('temperature', spelling, number)}: the temperatures "
                    f"{spelling} and {first} ({files.place_of('temperature', first, file)}) {how}. "
                    "Hint: write a temperature in one way in all files"
                )
    return texts


def checked_seeds(files: LabelFiles) -> dict[str, str]:
    """Return {spelling: the integer as text}."""
    seeds = {}
    for spelling in files.texts("seed"):
        if not _INTEGER.fullmatch(spelling):
            raise InputError(
                f"{files.place_of('seed', spelling)}: the seed {spelling!r} is not an integer. "
                "Hint: write it as 42"
            )
        if abs(int(spelling)) > _LARGEST_SEED:
            raise InputError(
                f"{files.place_of('seed', spelling)}: the seed {spelling} is too large. "
                f"Hint: it must be at most {_LARGEST_SEED}"
            )
        seeds[spelling] = str(int(spelling))
    return seeds


def check_distinct(files: LabelFiles, rows: pl.DataFrame) -> None:
    """Refuse two labels of one judge for one response."""
    numbers = _numbers(rows, [*_RESPONSE, "judge"])
    if not (numbers.sort().diff() == 0).any():
        return
    second = numbers.is_first_distinct().not_().arg_max()
    first = (numbers == numbers[second]).arg_max()
    row = rows.row(second, named=True)
    raise InputError(
        f"{files.place(second)}: judge {row['judge']} has labelled model {row['model']}, prompt "
        f"{row['prompt_id']}, temperature {row['temperature']}, seed {row['seed']} before: "
        f"{files.place(first)}. Hint: remove one of the two rows"
    )


def check_grids(files: LabelFiles, rows: pl.DataFrame) -> None:
    """Refuse models of one judge that differ in their temperatures or in their seeds."""
    for column in ("temperature", "seed"):
        grids: dict[str, dict[str, set[str]]] = {}
        for judge, model, value in (
            rows.select("judge", "model", column)
            .unique()
            .sort("judge", "model", column)
            .iter_rows()
        ):
            grids.setdefault(judge, {}).setdefault(model, set()).add(value)
        for judge, grid in grids.items():
            first, *others = grid
            for model in others:
                for having, lacking in ((first, model), (model, first)):
                    missing = sorted(grid[having] - grid[lacking], key=float)
                    if missing:
                        row = _first_row(rows, judge=judge, model=having, **{column: missing[0]})
                        raise InputError(
                            f"{files.place(row)}: judge {judge} has labelled model {having} at "
                            f"{column} {missing[0]}, but not model {lacking}. Hint: give "
                            f"all models the same {column}s, or leave one of the models out"
                        )


def check_judges_overlap(files: LabelFiles, rows: pl.DataFrame) -> None:
    """Refuse two judges that have not labelled one response in common."""
    judges = rows["judge"].dtype.categories
    # Sorted, the judges of one response follow each other.
    numbers = _numbers(rows, [*_RESPONSE, "judge"]).sort()
    sorted_rows = pl.DataFrame({"response": numbers // len(judges), "judge": numbers % len(judges)})
    both: set[tuple[int, int]] = set()
    for lag in range(1, len(judges)):
        before = pl.all().shift(lag).name.suffix("_before")
        pairs = sorted_rows.select(pl.all(), before).filter(
            pl.col("response") == pl.col("response_before")
        )
        both |= set(pairs.select("judge_before", "judge").unique().iter_rows())
    for pair in combinations(range(len(judges)), 2):
        if pair not in both:
            first, second = (judges[place] for place in pair)
            begin, begins = (
                files.place(_first_row(rows, judge=judge)) for judge in (first, second)
            )
            raise InputError(
                f"{begins}: judge {second}, whose labels begin here, and judge {first} ({begin}) "
                "have labelled no common response (model, prompt_id, temperature, seed). Hint: "
                "give one of them a run of its own, or add the spellings of a model to "
                "model_aliases"
            )


def check_prompt_info(
    path: Path, info: pl.DataFrame, files: LabelFiles, prompt_ids: Sequence[str]
) -> None:
    """Refuse information on prompts that lacks one, or has two rows for one."""
    ids = info["prompt_id"]
    if ids.has_nulls():
        raise InputError(
            f"{place(path, ids.is_null().arg_max())}: the prompt_id is empty. "
            "Hint: fill it in or remove the row"
        )
    if ids.is_duplicated().any():
        second = ids.is_first_distinct().not_().arg_max()
        first = (ids == ids[second]).arg_max()
        raise InputError(
            f"{place(path, second)}: the prompt_id {ids[second]} stands before: "
            f"{place(path, first)}. Hint: remove one of the two rows"
        )
    known = set(ids)
    lacking = [prompt_id for prompt_id in prompt_ids if prompt_id not in known]
    if lacking:
        raise InputError(
            f"{path}: {len(lacking)} prompt_id(s) of the labels are missing, the first is "
            f"{lacking[0]} ({files.place_of('prompt_id', lacking[0])}). Hint: add them"
        )


def _first_row(rows: pl.DataFrame, **values: str) -> int:
    """Return the first row that holds these values."""
    return (
        rows.select(pl.all_horizontal(pl.col(key) == values[key] for key in values))
        .to_series()
        .arg_max()
    )


def _numbers(rows: pl.DataFrame, columns: Sequence[str]) -> pl.Series:
    """Number the rows by columns that are Enums: equal rows get equal numbers, in their order."""
    sizes = [len(rows[column].dtype.categories) for column in columns]
    # 64 bits hold 9e18 combinations, more than any study has; where not, twice as many do.
    dtype = pl.Int64 if math.prod(sizes) < 2**63 else pl.Int128
    number = pl.lit(0, dtype)
    for column, size in zip(columns, sizes, strict=True):
        number = number * size + pl.col(column).to_physical().cast(dtype)
    return rows.select(number.alias("number")).to_series()
