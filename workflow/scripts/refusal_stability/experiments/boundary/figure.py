"""The figure of the experiment `boundary`, drawn from its tables; nothing is computed here."""

import polars as pl
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from refusal_stability.figures.style import (
    COLOURS,
    INTERVALS,
    NO_LABELS,
    apart,
    errors,
    legend,
    line_look,
    nothing,
    panels,
    title,
)
from refusal_stability.schemas.stages import POOLED

# Models that are drawn; the others are in the tables.
_MAX_MODELS = 8
# Of fewer, a bin's share says nothing.
_MIN_PROMPTS = 5


def boundary(calibration: pl.DataFrame, prompts: pl.DataFrame) -> Figure:
    """Forecast against seen, two panels a model, one judge: SSI of each prompt, and flips.

    Args:
        calibration: `boundary_calibration`.
        prompts: `boundary_prompts`.
    """
    if prompts.is_empty() or prompts["ssi"].is_null().all():
        return nothing(
            NO_LABELS if prompts.height else "No model has weights of its own: nothing to draw."
        )
    judge = prompts["judge"][0]
    prompts, calibration = (table.filter(judge=judge) for table in (prompts, calibration))
    models = prompts["model"].unique(maintain_order=True).to_list()[:_MAX_MODELS]
    # Pooled, the samples of one seed are not independent (data-dictionary.md).
    scopes = [
        scope for scope in calibration["scope"].unique(maintain_order=True) if scope != POOLED
    ]
    width = 3.2
    figure, every = panels(2 * len(models), width=width, height=3.2)
    shifts = apart(len(scopes), 0.012, 0.1)
    for number, model in enumerate(models):
        of_ssi, of_flips = every[2 * number : 2 * number + 2]
        shown = prompts.filter(model=model, scope=POOLED)
        for axes in (of_ssi, of_flips):
            axes.axline((0.5, 0.5), slope=1, color="black", linewidth=0.8)
        of_ssi.plot(
            shown["predicted_ssi"], shown["ssi"], "o", color=COLOURS[0], alpha=0.5, ms=5, mew=0
        )
        of_ssi.set(xlim=(0.3, 1.03), ylim=(0.3, 1.03), xlabel="forecast SSI", ylabel="seen SSI")
        for place, scope in enumerate(scopes):
            rows = calibration.filter(pl.col("n") >= _MIN_PROMPTS, model=model, scope=scope)
            of_flips.errorbar(
                rows["predicted_flip_rate"] + shifts[place],
                rows["flip_rate"],
                yerr=errors(rows, "flip_rate"),
                capsize=2,
                ms=5,
                linewidth=1,
                **line_look(place),
            )
        of_flips.set(
            xlim=(-0.05, 1.05),
            ylim=(-0.05, 1.05),
            xlabel="forecast to flip",
            ylabel="seen to flip",
        )
        title(of_ssi, model, width)
        title(of_flips, model, width)
    handles = [
        Line2D([], [], label=f"T = {scope}", **line_look(place))
        for place, scope in enumerate(scopes)
    ]
    legend(
        figure,
        handles,
        f"flips, in bins of {_MIN_PROMPTS} prompts or more, under {judge}; {INTERVALS}",
    )
    return figure
