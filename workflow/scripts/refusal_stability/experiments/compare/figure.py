"""Figure of `compare`: differences of two models, measure by measure."""

import matplotlib.pyplot as plt
import polars as pl
from matplotlib.figure import Figure

from refusal_stability.figures.style import (
    apart,
    forest,
    judges_legend,
    look,
    nothing,
    row_font,
    row_height,
    wrapped,
)
from refusal_stability.statistics.paired_responses import MEASURES

_NO_WIDTH = "no width: all prompts differ alike, or not at all; of others that shows little"


def compare(table: pl.DataFrame) -> Figure:
    """Differences of two models: a panel a measure, a row a category, a colour a judge."""
    if table["difference"].is_null().all():
        return nothing("Two models have no prompt with valid labels in common: nothing to compare.")
    judges = table["judge"].unique(maintain_order=True).to_list()
    categories = table["category"].unique(maintain_order=True).to_list()
    if len(categories) == 2:
        # All prompts are of one category.
        categories = categories[:1]
    height = row_height(len(categories), 0.14 + 0.16 * len(judges))
    font = row_font(height)
    labels = [wrapped(category, 3) for category in categories]
    longest = max(len(line) for label in labels for line in label.splitlines())
    figure, every = plt.subplots(
        1,
        len(MEASURES),
        figsize=(longest * font / 120 + 2.3 * len(MEASURES), 1.4 + height * max(2, len(labels))),
        sharey=True,
        layout="constrained",
    )
    shifts = apart(len(judges), 0.25, 0.8)
    for axes, (measure, (_, words)) in zip(every, MEASURES.items(), strict=True):
        for number, judge in enumerate(judges):
            rows = pl.DataFrame({"category": categories}).join(
                table.filter(measure=measure, judge=judge), on="category", maintain_order="left"
            )
            places = [place + shifts[number] for place in range(len(categories))]
            forest(axes, rows, places, ms=5, capsize=2, **look(number))
        axes.set_title(words, fontsize=10)
        axes.set_xlabel("difference")
        axes.tick_params(axis="y", length=0)
        axes.locator_params(axis="x", nbins=5)
    every[0].set_yticks(range(len(labels)), labels, fontsize=font)
    every[0].set_ylim(len(labels) - 0.5, -0.5)
    figure.suptitle(
        f"{table['model_a'][0]} \N{MINUS SIGN} {table['model_b'][0]}", fontsize=10, wrap=True
    )
    alike = (table["difference_low"] == table["difference_high"]).any()
    judges_legend(figure, judges, f"\n{_NO_WIDTH}" * bool(alike))
    return figure
