"""Files of labels, read and joined, and where each of their rows is."""

from bisect import bisect_right
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from refusal_stability.imported_labels.tables import place


@dataclass(frozen=True)
class LabelFiles:
    """Files of labels, one after another.

    ``rows`` holds their columns as categories of text, as written, null where empty;
    ``starts`` the number of each file's first row in it.
    """

    paths: list[Path]
    starts: list[int]
    rows: pl.DataFrame

    def place(self, row: int) -> str:
        """Name the file and the line or row of a row of ``rows``."""
        file = bisect_right(self.starts, row) - 1
        return place(self.paths[file], row - self.starts[file])

    def place_of(self, column: str, text: str, file: int = 0) -> str:
        """Name the first place, from a file on, at which a column holds a text."""
        found = self.rows[column].slice(self.starts[file]) == text
        return self.place(self.starts[file] + found.arg_max())

    def texts(self, column: str) -> list[str]:
        """Return the distinct texts of a column in the order of their first rows."""
        return self.rows[column].unique(maintain_order=True).to_list()

    def file_rows(self, file: int) -> pl.DataFrame:
        """Return the rows of one file."""
        ends = [*self.starts[1:], self.rows.height]
        return self.rows.slice(self.starts[file], ends[file] - self.starts[file])
