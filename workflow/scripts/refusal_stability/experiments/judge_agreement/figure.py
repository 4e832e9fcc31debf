"""The figure of the experiment `judge_agreement`, drawn from its tables."""

import matplotlib.pyplot as plt
import numpy as np
import polars as pl
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from refusal_stability.core.labels import VALID_LABELS
from refusal_stability.core.names import ALL_MODELS
from refusal_stability.figures.style import (
    INTERVALS,
    OF_SEVERAL,
    apart,
    errors,
    legend,
    look,
    nothing,
    row_font,
    row_height,
    wrapped,
)

_PANELS = {"agreement": "agreement", "kappa": "Cohen's kappa", "gwet_ac1": "Gwet's AC1"}
# The rest is in the table.
_MAX_PAIRS = 30


def draw(table: pl.DataFrame, confusion: pl.DataFrame) -> Figure:
    """Agreement of every two judges, and the labels of the two that agree least."""
    table = table.filter(pl.col("agreement").is_not_null())
    if table.is_empty():
        return nothing("No two judges have labelled the sample: nothing to compare.")
    models = table["model"].unique(maintain_order=True).to_list()
    if len(models) == 2:
        # The responses of all models are those of this one.
        models = models[:1]
    pairs = (
        table.filter(model=models[-1])
        .sort("agreement", maintain_order=True)
        .select("judge_a", "judge_b")
        .head(_MAX_PAIRS)
    )
    names = [wrapped(f"{judge_a} and {judge_b}", 2.2) for judge_a, judge_b in pairs.iter_rows()]
    height = row_height(len(names), 0.3 + 0.12 * len(models))
    figure, (*every, last) = plt.subplots(
        1,
        len(_PANELS) + 1,
        figsize=(12.5, max(3.4, 1.2 + height * len(names))),
        width_ratios=[1, 1, 1, 1.2],
        layout="constrained",
    )
    shifts = apart(len(models), 0.16, 0.8)
    for axes, (column, words) in zip(every, _PANELS.items(), strict=True):
        for number, model in enumerate(models):
            rows = pairs.join(
                table.filter(model=model), on=["judge_a", "judge_b"], maintain_order="left"
            )
            axes.errorbar(
                rows[column].to_numpy(),
                np.arange(len(names)) + shifts[number],
                xerr=np.nan_to_num(errors(rows, column)),
                linestyle="none",
                ms=5,
                capsize=2,
                **_style(model, number),
            )
        axes.set_yticks(range(len(names)), names if axes is every[0] else [""] * len(names))
        axes.tick_params(axis="y", length=0, labelsize=row_font(height))
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_xlim(right=1.02)
        axes.set_title(words, fontsize=10)
    _draw_confusion(last, confusion, *pairs.row(0), models[-1])
    handles = [
        Line2D(
            [],
            [],
            linestyle="none",
            label="all models" if model == ALL_MODELS else model,
            **_style(model, number),
        )
        for number, model in enumerate(models)
    ]
    legend(figure, handles, f"a sample, reweighted to all responses; {INTERVALS}")
    return figure


def _style(model: str, number: int) -> dict[str, str]:
    return OF_SEVERAL if model == ALL_MODELS else look(number)


def _draw_confusion(
    axes: plt.Axes, confusion: pl.DataFrame, judge_a: str, judge_b: str, model: str
) -> None:
    rows = confusion.filter(judge_a=judge_a, judge_b=judge_b, model=model)
    shares = rows["share"].to_numpy().reshape(len(VALID_LABELS), -1)
    counts = rows["n"].to_numpy().reshape(shares.shape)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (a, b), share in np.ndenumerate(shares):
        axes.text(
            b,
            a,
            f"{share:.1%}\nn = {counts[a, b]}",
            ha="center",
            va="center",
            fontsize=9,
            color="white" if share > 0.5 else "black",
        )
    axes.set_xticks(range(len(VALID_LABELS)), VALID_LABELS, fontsize=8)
    axes.set_yticks(range(len(VALID_LABELS)), VALID_LABELS, fontsize=8)
    axes.grid(visible=False)
    axes.set_xlabel(wrapped(judge_b, 3))
    axes.set_ylabel(wrapped(judge_a, 3))
    axes.set_title("labels of the first pair", fontsize=10)
