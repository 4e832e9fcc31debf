"""Figure of `plan_seeds`: how wide intervals would be, by seeds."""

import itertools
from collections.abc import Mapping

import polars as pl
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from refusal_stability.experiments.plan_seeds import analysis as plans
from refusal_stability.figures.style import (
    OF_SEVERAL,
    legend,
    line_look,
    nothing,
    panels,
)


def plan_seeds(table: pl.DataFrame, wanted: Mapping[str, float]) -> Figure:
    """Prompts that each number of seeds takes: a panel a goal and measure, a line a model.

    ``wanted`` is the `width`, `difference` and `power` of the plan.
    """
    table = table.filter(pl.col("prompts_needed").is_not_null())
    if table.is_empty():
        return nothing("How values vary over prompts is not known, so nothing can be planned.")
    # The others are in the table.
    table = table.filter(judge=table["judge"][0])
    models = table.filter(goal=plans.INTERVAL_WIDTH)["model_a"].unique(maintain_order=True)
    goals = table["goal"].unique(maintain_order=True).to_list()
    choices = table["seeds"].unique().sort().to_list()
    titles = {
        plans.INTERVAL_WIDTH: f"95% interval {wanted['width']:g} wide",
        plans.POWER: f"difference {wanted['difference']:g}, power {wanted['power']:.0%}",
    }
    figure, every = panels(len(goals) * len(plans.MEASURES), width=2.8, height=2.6)
    for axes, (goal, measure) in zip(every, itertools.product(goals, plans.MEASURES), strict=True):
        rows = table.filter(goal=goal, measure=measure)
        for (name, other), line in rows.group_by("model_a", "model_b", maintain_order=True):
            style = line_look(models.to_list().index(name)) if other == "none" else OF_SEVERAL
            axes.plot(line["seeds"], line["prompts_needed"], ms=5, mfc="white", **style)
            known = line.filter(basis=plans.MEASURED)
            axes.plot(
                known["seeds"], known["prompts_needed"], ms=5, **style | {"linestyle": "none"}
            )
        axes.set_title(f"{plans.MEASURES[measure]},\n{titles[goal]}", fontsize=10)
        axes.set_xlabel("seeds")
        axes.set_xscale("log")
        # Curves that are nearly flat have hardly a margin of their own.
        axes.set_ylim(0, 1.05 * axes.get_ylim()[1])
        axes.locator_params(axis="y", nbins=5, integer=True)
        axes.set_xticks(choices, map(str, choices))
        axes.xaxis.set_minor_locator(NullLocator())
    for axes in every:
        if axes.get_subplotspec().is_first_col():
            axes.set_ylabel("prompts needed")
    handles = [Line2D([], [], label=name, **line_look(place)) for place, name in enumerate(models)]
    if plans.POWER in goals:
        handles.append(Line2D([], [], label="difference of two models", **OF_SEVERAL))
    legend(figure, handles, f"under {table['judge'][0]}; filled: measured, hollow: extrapolated")
    return figure
