"""The figure of the experiment `pilot`, drawn from its tables; nothing is computed here."""

import matplotlib.pyplot as plt
import polars as pl
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from refusal_stability.core.names import ALL_MODELS
from refusal_stability.figures.style import (
    INTERVALS,
    NO_LABELS,
    OF_SEVERAL,
    apart,
    errors,
    legend,
    line_look,
    nothing,
    smallest_gap,
)


def pilot(temperatures: pl.DataFrame, table: pl.DataFrame) -> Figure:
    """Mean SSI over temperatures, a line a model, one judge; the legend has the verdicts."""
    # The others are in the table.
    judge = temperatures["judge"][0]
    rows = temperatures.filter(pl.col("mean_ssi").is_not_null(), judge=judge)
    if rows.is_empty():
        return nothing(NO_LABELS)
    if table.is_empty():
        return nothing("There is one temperature only: whether SSI falls with it cannot be said.")
    models = rows["model"].unique(maintain_order=True).to_list()
    if len(models) == 2:
        # The mean over one model is that model.
        models = models[:1]
    figure, axes = plt.subplots(figsize=(5.2, 3.4), layout="constrained")
    gap = smallest_gap(rows["temperature"])
    shifts = apart(len(models), 0.06 * gap, 0.5 * gap)
    handles = []
    for number, model in enumerate(models):
        line = rows.filter(model=model)
        style = OF_SEVERAL if model == ALL_MODELS else line_look(number)
        axes.errorbar(
            line["temperature"].to_numpy() + shifts[number],
            line["mean_ssi"],
            yerr=errors(line, "mean_ssi"),
            ms=5,
            capsize=2,
            **style,
        )
        name = "mean over models" if model == ALL_MODELS else model
        found = table.filter(judge=judge, model=model)["verdict"][0]
        handles.append(Line2D([], [], label=f"{name}: {found}", ms=5, **style))
    axes.set_xticks(rows["temperature"].unique().sort().to_list())
    axes.set_xlabel("temperature")
    axes.set_ylabel("mean SSI")
    # An SSI is never above 1.
    low, _ = axes.get_ylim()
    axes.set_ylim(low, 1 + 0.05 * max(0.02, 1 - low))
    legend(figure, handles, f"under {judge}; {INTERVALS}")
    return figure
