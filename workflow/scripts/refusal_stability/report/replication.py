"""Published figures beside what the tables of a run say, with the definition that was used."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from refusal_stability.core.errors import InputError
from refusal_stability.core.files import read_text

# The verdicts of the contract REPLICATION.
REPRODUCED = "reproduced"
OTHERWISE = "reproduced under another definition"
NOT_REPRODUCED = "not reproduced"
NOT_GIVEN = "data not given"
# What a table's rows that a definition picks become one number by.
_AGGREGATES = {
    "only": lambda values: values.item() if values.len() == 1 else None,
    "mean": pl.Series.mean,
    "min": pl.Series.min,
    "max": pl.Series.max,
}


def read_figures(path: Path) -> list[dict[str, Any]]:
    """Return the published figures of a YAML file. Raises InputError if it holds none."""
    try:
        figures = yaml.safe_load(read_text(path))
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: not YAML ({reason}). Hint: mend that line") from error
    if not isinstance(figures, list) or not figures:
        raise InputError(f"{path}: no list of figures. Hint: see resources/published_figures.yaml")
    for number, figure in enumerate(figures, start=1):
        missing = {"id", "where", "paper", "digits"} - set(figure)
        if missing:
            raise InputError(
                f"{path}, figure {number}: no {', '.join(sorted(missing))}. Hint: add it"
            )
    return figures


def replication(figures: Sequence[dict[str, Any]], tables: dict[str, pl.DataFrame]) -> pl.DataFrame:
    """Return one row a published figure: the paper's number, ours, the definition, a verdict.

    The first definition of a figure is this project's own (docs/data-dictionary.md), further
    ones are others that the paper may have used. The row shows the first that gives the paper's
    number to its printed digits, or within the figure's `tolerance`; if none does, the first
    that the run has the data for.

    Args:
        figures: each with `id`, `where`, `paper`, `digits`, and perhaps `tolerance`, `models`
            (whose data the figure needs) and `definitions`; a definition has a `definition` in
            words, a `table`, an SQL expression `value` over its columns, `rows` (a column's
            value, or a list of values) and an aggregate `of_rows` (only, mean, min, max).
        tables: every table of the run, by name.
    """
    rows = pl.DataFrame([_row(figure, tables) for figure in figures], infer_schema_length=None)
    # Nobody wants to read the last digits of a subtraction.
    return rows.with_columns(pl.selectors.float().round_sig_figs(12))


def _row(figure: dict[str, Any], tables: dict[str, pl.DataFrame]) -> dict[str, Any]:
    known = set(tables["models"]["model"])
    definitions = figure.get("definitions", [])
    if not set(figure.get("models", [])) <= known:
        definitions = []
    values = [(each["definition"], _value(each, tables)) for each in definitions]
    values = [(text, value) for text, value in values if value is not None]
    if not values:
        chosen, verdict = (None, None), NOT_GIVEN
    else:
        matching = [each for each in values if _agrees(figure, each[1])]
        chosen = (matching or values)[0]
        # The first definition may lack its data: then another one is another one still.
        own = chosen[0] == definitions[0]["definition"]
        verdict = NOT_REPRODUCED if not matching else REPRODUCED if own else OTHERWISE
    definition, value = chosen
    return {
        "id": figure["id"],
        "where": figure["where"],
        "paper": float(figure["paper"]),
        "recomputed": value,
        "definition": definition,
        "difference": None if value is None else value - figure["paper"],
        "verdict": verdict,
    }


def _value(definition: dict[str, Any], tables: dict[str, pl.DataFrame]) -> float | None:
    table = tables[definition["table"]]
    for column, wanted in definition["rows"].items():
        wanted = wanted if isinstance(wanted, list) else [wanted]
        table = table.filter(pl.col(column).is_in(pl.Series(wanted, dtype=table.schema[column])))
    values = table.select(value=pl.sql_expr(definition["value"]).cast(pl.Float64))["value"]
    if values.is_empty() or values.has_nulls():
        return None
    return _AGGREGATES[definition.get("of_rows", "only")](values)


def _agrees(figure: dict[str, Any], value: float) -> bool:
    # Half of the last digit that is printed, and a little for its rounding in binary.
    tolerance = figure.get("tolerance", 0.5 * 10 ** -figure["digits"])
    return abs(value - figure["paper"]) <= tolerance + 1e-9
