"""The tables of a run for the captions of its report, read when a caption asks for them."""

import csv
from dataclasses import dataclass
from pathlib import Path


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
    def _value(column: str, text: str) -> str | float | None:
        # Names stay text: a model may be called 007.
        if column in ("judge", "judge_a", "judge_b", "model", "grouping", "group"):
            return text
        return float(text) if text else None
