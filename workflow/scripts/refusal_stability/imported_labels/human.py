"""Labels that a person gave to some of the responses: a file, checked against the run.

Only the standard library at import: the file is checked while a run is planned, in Snakemake's own
environment.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from refusal_stability.core.cells import temperature_text
from refusal_stability.core.errors import InputError
from refusal_stability.settings.judges import numbered

if TYPE_CHECKING:
    from refusal_stability.imported_labels.files import LabelFiles

COLUMNS = ("model", "prompt_id", "temperature", "seed", "label")


def check_judges(config: dict[str, Any]) -> None:
    """Check the files of all human judges, as far as a configuration tells.

    Raises:
        InputError: dataframely is missing, or a file is wrong; one line names file and row.
    """
    for where, judge in numbered(config):
        if judge["kind"] != "human":
            continue
        # It brings polars along.
        if find_spec("dataframely") is None:
            raise InputError(
                f"{where}.labels: to plan a run with human labels, Snakemake's Python "
                "needs dataframely. Hint: pip install dataframely"
            )
        check_known(
            read_human_labels(judge),
            {
                "model": [model["name"] for model in config["models"]],
                "temperature": [temperature_text(value) for value in config["temperatures"]],
                "seed": [str(seed) for seed in config["seeds"]],
            },
        )


def read_human_labels(judge: dict[str, Any]) -> LabelFiles:
    """Read a human judge's file and check what can be told of it alone.

    Its rows have temperatures and seeds as they are written in paths, and the judge's name.

    Raises:
        InputError: something is wrong; one line names file and row.
    """
    import polars as pl

    from refusal_stability.imported_labels import checks
    from refusal_stability.imported_labels.load import read_label_files

    files = read_label_files([Path(judge["labels"])], COLUMNS)
    checks.check_filled(files, COLUMNS)
    checks.check_labels(files)
    checks.check_hashes(files)
    spellings = {
        "temperature": checks.checked_temperatures(files),
        "seed": checks.checked_seeds(files),
    }
    rows = files.rows.with_columns(
        pl.col(*COLUMNS).cast(pl.String), judge=pl.lit(judge["name"])
    ).with_columns(pl.col(column).replace_strict(texts) for column, texts in spellings.items())
    files = replace(files, rows=rows)
    checks.check_distinct(
        files,
        rows.with_columns(
            pl.col(column).cast(pl.Enum(rows[column].unique(maintain_order=True)))
            for column in (*COLUMNS, "judge")
        ),
    )
    return files


def check_known(files: LabelFiles, known: Mapping[str, Collection[str]]) -> None:
    """Refuse a row of what the run does not have.

    Args:
        files: one file of human labels.
        known: by columns, what the run has.
    """
    for column, texts in known.items():
        for text in files.texts(column):
            if text not in texts:
                few = ", ".join(texts) if len(texts) <= 10 else f"{len(texts)} others"
                raise InputError(
                    f"{files.place_of(column, text)}: the run has no {column} {text!r}. "
                    f"Hint: it has {few}; mend or remove the rows"
                )
