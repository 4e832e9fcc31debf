"""Figure of `category_probe`: differences of categories."""

import matplotlib.pyplot as plt
import polars as pl
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from refusal_stability.core.names import ALL_MODELS
from refusal_stability.experiments.category_probe import analysis as categories
from refusal_stability.figures.style import (
    FILLED,
    OF_SEVERAL,
    apart,
    forest,
    legend,
    look,
    nothing,
    row_font,
    row_height,
    wrapped,
)

# The rest is in the table.
_MAX_PAIRS = 15


def category_probe(table: pl.DataFrame) -> Figure:
    """Differences of mean SSI between categories: a row a pair, a colour a model, one judge."""
    table = table.filter(pl.col("difference").is_not_null())
    if table.is_empty():
        return nothing("Fewer than two categories have enough prompts: nothing to compare.")
    # The others are in the table.
    judge = table["judge"][0]
    table = table.filter(judge=judge)
    models = table["model"].unique(maintain_order=True).to_list()
    if len(models) == 2:
        # The mean over one model is that model.
        models = models[:1]
    ranked = categories.larger_first(table.filter(model=models[-1])).head(_MAX_PAIRS)
    pairs = ranked.select("category_a", "category_b")
    # Of another model, the other category of a pair may be the larger.
    both_ways = pl.concat([table, categories.exchanged(table)])
    names = [
        wrapped(f"{category_a} \N{MINUS SIGN} {category_b}", 4)
        for category_a, category_b in pairs.iter_rows()
    ]
    height = row_height(len(names), 0.2 + 0.1 * len(models))
    figure, axes = plt.subplots(
        figsize=(7.0, 1.4 + height * max(2, len(names))), layout="constrained"
    )
    shifts = apart(len(models), 0.2, 0.8)
    for number, model in enumerate(models):
        rows = pairs.join(
            both_ways.filter(model=model), on=["category_a", "category_b"], maintain_order="left"
        )
        places = [place + shifts[number] for place in range(len(names))]
        style = OF_SEVERAL if model == ALL_MODELS else look(number)
        forest(axes, rows, places, ms=5, capsize=2, **style)
    axes.set_yticks(range(len(names)), names, fontsize=row_font(height))
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("difference of mean SSI")
    largest = f", the {len(names)} largest differences" if len(names) == _MAX_PAIRS else ""
    axes.set_title(f"under {judge}{largest}", fontsize=10)
    handles = [
        Line2D(
            [],
            [],
            linestyle="none",
            label="mean over models" if model == ALL_MODELS else model,
            **(OF_SEVERAL if model == ALL_MODELS else look(number)),
        )
        for number, model in enumerate(models)
    ]
    legend(figure, handles, FILLED)
    return figure
