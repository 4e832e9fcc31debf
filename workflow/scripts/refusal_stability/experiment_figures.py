"""Figures of the experiments, drawn from their tables; nothing is computed here."""

import matplotlib.pyplot as plt
import polars as pl
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from refusal_stability.compare import MEASURES
from refusal_stability.figure_parts import (
    COLOURS,
    INTERVALS,
    MARKERS,
    SIGNIFICANT,
    apart,
    forest,
    legend,
    nothing,
    row_font,
    row_height,
    wrapped,
)


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
    judges_legend(figure, judges)
    return figure


def look(number: int) -> dict[str, str]:
    """Return colour and marker of the judge, or model, of this number."""
    return {
        "color": COLOURS[number % len(COLOURS)],
        "marker": MARKERS[(number + number // len(COLOURS)) % len(MARKERS)],
    }


def judges_legend(figure: Figure, judges: list[str]) -> None:
    """Write whose the colours are, and what filled markers say."""
    handles = [
        Line2D([], [], linestyle="none", label=judge, **look(number))
        for number, judge in enumerate(judges)
    ]
    legend(figure, handles, f"{INTERVALS}; filled: p < {SIGNIFICANT:g} after Holm's correction")
