"""The tables of a run for the captions of its report, read when a caption asks for them."""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from refusal_stability.core.names import ALL_MODELS
from refusal_stability.core.text import (
    SIGNIFICANCE,
    format_estimate,
    format_number,
    format_p_value,
    format_percent,
)

Row = dict[str, str | float | None]

_TEXT = {
    "judge",
    "judge_a",
    "judge_b",
    "other_judge",
    "model",
    "model_a",
    "model_b",
    "grouping",
    "group",
    "scoring",
    "unit",
    "prompts",
    "measure",
    "method",
    "scope",
    "samples",
    "label_a",
    "label_b",
    "labels",
    "alarm",
    "raised",
    "small_n",
    "ids",
    "stage",
    "currency",
}


@dataclass(frozen=True)
class CaptionTables:
    """The tables in ``folder``; only the standard library, for Snakemake's own environment."""

    folder: Path

    def rows(self, name: str, **keys: Any) -> list[Row]:
        """Return the rows of one table whose columns equal ``keys``.

        Numbers are numbers, and None where there is none.
        """
        # The ids behind an alarm are one field, and may be all prompts; csv stops at 131,072 bytes.
        csv.field_size_limit(2**31 - 1)
        with (self.folder / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            rows = [
                {column: self._value(column, text) for column, text in row.items()}
                for row in csv.DictReader(file)
            ]
        return [row for row in rows if all(row[key] == value for key, value in keys.items())]

    def each_model(self, name: str, **keys: Any) -> list[Row]:
        """Return such rows without those of all models where there is only one."""
        rows = self.rows(name, **keys)
        single = [row for row in rows if row["model"] != ALL_MODELS]
        return rows if len({row["model"] for row in single}) > 1 else single

    @staticmethod
    def text(path: str) -> str:
        """Return what an experiment's caption says."""
        return Path(path).read_text(encoding="utf-8")

    def seeds(self) -> int:
        """Return the number of seeds of each model and temperature."""
        # Without a second seed, that table is empty.
        return max((int(row["n_seeds"]) for row in self.rows("seed_effect")), default=1)

    @staticmethod
    def model(row: Row) -> str:
        """Return whose the row is: the name of a model, or "all models"."""
        return "all models" if row["model"] == ALL_MODELS else str(row["model"])

    @staticmethod
    def significant(rows: list[Row]) -> int:
        """Return how many rows are significant after Holm's correction."""
        return sum(row["p_holm"] is not None and row["p_holm"] < SIGNIFICANCE for row in rows)

    p_value = staticmethod(format_p_value)
    number = staticmethod(format_number)
    percent = staticmethod(format_percent)
    estimate = staticmethod(format_estimate)

    @staticmethod
    def _value(column: str, text: str) -> str | float | None:
        # Names stay text: a model may be called 007.
        if column in _TEXT:
            return text
        return float(text) if text else None
