"""Figures of the experiments, drawn from their tables; nothing is computed here."""

import itertools
from collections.abc import Mapping

import matplotlib.pyplot as plt
import polars as pl
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from refusal_stability import category_probe as categories
from refusal_stability import plan_seeds as plans
from refusal_stability import scoring as scorings
from refusal_stability.compare import MEASURES
from refusal_stability.figure_parts import (
    INTERVALS,
    NO_LABELS,
    OF_SEVERAL,
    SIGNIFICANT,
    apart,
    forest,
    legend,
    line_look,
    look,
    nothing,
    panels,
    row_font,
    row_height,
    title,
    wrapped,
)
from refusal_stability.grid import ALL_MODELS

_FILLED = f"{INTERVALS}; filled: p < {SIGNIFICANT:g} after Holm's correction"
_NO_WIDTH = "no width: all prompts differ alike, or not at all; of others that shows little"
# The rest is in the table.
_MAX_PAIRS = 15


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
    legend(figure, handles, _FILLED)
    return figure


def scoring(table: pl.DataFrame) -> Figure:
    """Share of prompts below each SSI: a panel a model, a line a scoring, one judge."""
    judge = table["judge"][0]
    table = table.filter(pl.col("value_a").is_not_null(), judge=judge)
    if table.is_empty():
        return nothing(NO_LABELS)
    models = table["model"].unique(maintain_order=True).to_list()
    if len(models) == 2:
        # The mean over one model is that model.
        models = models[:1]
    limits = {
        measure: float(measure.removeprefix(scorings.UNSTABLE))
        for measure in table["measure"].unique(maintain_order=True)
        if measure.startswith(scorings.UNSTABLE)
    }
    # More than one label is an SSI below 1.
    limits[scorings.FLIP_RATE] = 1.0
    order = sorted(limits, key=limits.__getitem__)
    width = 3.0
    figure, every = panels(len(models), width=width, height=3.0, share=True)
    for axes, model in zip(every, models, strict=True):
        of_measures = [
            scorings.values_of(table.filter(model=model, measure=measure)) for measure in order
        ]
        for number, (name, words) in enumerate(scorings.WORDS.items()):
            axes.plot(
                [limits[measure] for measure in order],
                [values[name] for values in of_measures],
                label=words,
                ms=5,
                clip_on=False,
                **line_look(number),
            )
        title(axes, "mean over models" if model == ALL_MODELS else model, width)
        axes.set_xlabel("SSI below (1: flips)")
    # After all have drawn: a limit ends the search for one that holds them all.
    every[0].set_ylim(bottom=0)
    every[0].set_ylabel("share of prompts")
    legend(figure, every[0].get_legend_handles_labels()[0], f"scoring, under {judge}")
    return figure


def judges_legend(figure: Figure, judges: list[str], note: str = "") -> None:
    """Write whose the colours are, what filled markers say, and a ``note``."""
    handles = [
        Line2D([], [], linestyle="none", label=judge, **look(number))
        for number, judge in enumerate(judges)
    ]
    legend(figure, handles, _FILLED + note)
