"""Draws docs/growth.svg from docs/growth.csv.

.venv/bin/python tests/benchmarks/growth_figure.py
"""

import csv
from itertools import groupby
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

COLUMNS = ("stage", "unit", "size", "wall_seconds", "cpu_seconds", "peak_mib")
PANELS = (("cpu_seconds", "CPU seconds of a job"), ("peak_mib", "peak memory of a job, MiB"))


def draw(table: Path, figure: Path) -> None:
    """Draw time and memory of each stage against its work, both axes logarithmic."""
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    # The same file from the same numbers.
    matplotlib.rcParams.update({"svg.hashsalt": "growth", "svg.fonttype": "none"})
    drawing, axes = pyplot.subplots(1, 2, figsize=(11, 4.8), layout="constrained")
    for (column, label), axis in zip(PANELS, axes, strict=True):
        for stage, points in groupby(rows, key=lambda row: row["stage"]):
            points = list(points)
            sizes = [int(point["size"]) for point in points]
            values = [float(point[column]) for point in points]
            axis.loglog(sizes, values, marker="o", label=f"{stage} ({points[0]['unit']})")
        axis.set_xlabel("work")
        axis.set_ylabel(label)
        axis.grid(visible=True, which="major", alpha=0.3)
    # What doubles with its work, as a slope to compare with.
    low, high = axes[0].get_ylim()
    start = 3e4
    axes[0].plot([start, start * 100], [low * 1.6, low * 160], color="grey", linestyle="--")
    axes[0].annotate("linear", (start * 14, low * 12), color="grey")
    axes[0].set_ylim(low, high)
    drawing.legend(*axes[0].get_legend_handles_labels(), loc="outside right center", frameon=False)
    drawing.savefig(figure, metadata={"Date": None})


if __name__ == "__main__":
    docs = Path(__file__).parents[2] / "docs"
    draw(docs / "growth.csv", docs / "growth.svg")
