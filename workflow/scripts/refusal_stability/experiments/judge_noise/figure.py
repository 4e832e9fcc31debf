"""The figure of the experiment `judge_noise`, drawn from its tables."""

import matplotlib.pyplot as plt
import numpy as np
import polars as pl
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from refusal_stability.core.names import ALL_MODELS
from refusal_stability.experiments.judge_noise.analysis import AS_IN_RUN, CHANGED, REPEATS
from refusal_stability.figures.style import (
    INTERVALS,
    apart,
    errors,
    legend,
    look,
    nothing,
    row_font,
    row_height,
    wrapped,
)
from refusal_stability.judging.rounds import CONDITIONS

_NAMES = {
    "one_batch": "all in one batch",
    "shuffled": "shuffled, other batches",
    "one_by_one": "one at a time",
    AS_IN_RUN: "these three together",
    "sampled": "sampled",
}
_TITLES = {CHANGED: "texts whose label changes", REPEATS: "pairs of repeats that differ"}


def draw(table: pl.DataFrame, flips: pl.DataFrame) -> Figure:
    """How often labels change under each condition, and the flip rate without that."""
    table = table.filter(pl.col("measure").is_in(list(_TITLES)), pl.col("value").is_not_null())
    if table.is_empty():
        return nothing("No judge has given a valid label, so nothing is known of its noise.")
    judges = table["judge"].unique(maintain_order=True).to_list()
    conditions = [*CONDITIONS[:3], AS_IN_RUN, CONDITIONS[3]]
    models = flips["model"].unique(maintain_order=True).to_list()
    # The mean over one model is that model.
    models = models[:1] if len(models) == 2 else models
    height = row_height(max(len(conditions), len(models)), 0.3 + 0.16 * len(judges))
    rows = max(len(conditions), len(models))
    figure, (*every, last) = plt.subplots(
        1, 3, figsize=(12.0, 1.4 + height * rows), layout="constrained"
    )
    shifts = apart(len(judges), 0.22, 0.8)
    for axes, (measure, words) in zip(every, _TITLES.items(), strict=True):
        for number, judge in enumerate(judges):
            of = pl.DataFrame({"condition": conditions}).join(
                table.filter(judge=judge, measure=measure),
                on="condition",
                how="left",
                maintain_order="left",
            )
            axes.errorbar(
                of["value"].to_numpy(),
                np.arange(len(conditions)) + shifts[number],
                xerr=np.nan_to_num(errors(of, "value")),
                linestyle="none",
                ms=5,
                capsize=2,
                **look(number),
            )
        first = axes is every[0]
        axes.set_yticks(range(len(conditions)), [_NAMES[of] if first else "" for of in conditions])
        axes.set_ylim(len(conditions) - 0.5, -0.5)
        axes.set_xlim(left=-0.01)
        axes.set_title(words, fontsize=10)
        axes.set_xlabel("share")
    for number, judge in enumerate(judges):
        of = pl.DataFrame({"model": models}).join(
            flips.filter(judge=judge), on="model", how="left", maintain_order="left"
        )
        style = look(number)
        last.plot(
            of["flip_rate"].to_numpy(),
            np.arange(len(models)) + shifts[number],
            linestyle="none",
            ms=6,
            mfc="white",
            zorder=3,
            **style,
        )
        last.errorbar(
            of["flip_rate_corrected"].to_numpy(),
            np.arange(len(models)) + shifts[number] + 0.06,
            xerr=np.nan_to_num(errors(of, "flip_rate_corrected")),
            linestyle="none",
            ms=5,
            capsize=2,
            **style,
        )
    names = ["mean over models" if model == ALL_MODELS else wrapped(model, 1.6) for model in models]
    last.set_yticks(range(len(models)), names, fontsize=row_font(height))
    last.set_ylim(len(models) - 0.5, -0.5)
    last.set_title("flip rate", fontsize=10)
    last.set_xlabel("hollow: observed, filled: without noise", fontsize=9)
    for axes in (*every, last):
        axes.tick_params(axis="y", length=0)
        axes.locator_params(axis="x", nbins=5)
    handles = [
        Line2D([], [], linestyle="none", label=judge, **look(number))
        for number, judge in enumerate(judges)
    ]
    legend(figure, handles, f"the same text again, nothing else changed; {INTERVALS}")
    return figure
