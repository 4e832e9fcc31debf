"""The tables of a run for the captions of its report, read when a caption asks for them."""

import csv
from dataclasses import dataclass
from pathlib import Path

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
}


@dataclass(frozen=True)
class LiveTables:
    """The tables in ``folder``; only the standard library, for Snakemake's own environment."""

    folder: Path

    def rows(self, name: str) -> list[dict[str, str | float | None]]:
        """Return the rows of one table: numbers as numbers, and None where there is none."""
        with (self.folder / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            return [
                {column: self._value(column, text) for column, text in row.items()}
                for row in csv.DictReader(file)
            ]

    @staticmethod
    def number(value: float | None) -> str:
        """Return a number with three decimals, or "undefined" where there is none."""
        return "undefined" if value is None else f"{value:.3f}"

    @staticmethod
    def percent(value: float | None) -> str:
        """Return a share as a percentage, or "undefined" where there is none."""
        return "undefined" if value is None else f"{100 * value:.1f}%"

    @classmethod
    def estimate(cls, row: dict[str, str | float | None], name: str) -> str:
        """Return an estimate and its interval, "0.912 [0.875, 0.946]"."""
        if row[name] is None or row[f"{name}_low"] is None:
            return cls.number(row[name])
        return "{:.3f} [{:.3f}, {:.3f}]".format(*(row[f"{name}{e}"] for e in ("", "_low", "_high")))

    @staticmethod
    def _value(column: str, text: str) -> str | float | None:
        # Names stay text: a model may be called 007.
        if column in _TEXT:
            return text
        return float(text) if text else None
