"""The figure of the experiment `adaptive`, drawn from its table; nothing is computed here."""

import matplotlib.pyplot as plt
import polars as pl
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from refusal_stability.experiments.adaptive.estimator import MEASURES
from refusal_stability.figures.style import (
    NO_LABELS,
    apart,
    errors,
    legend,
    look,
    nothing,
    wrapped,
)

_WORDS = {
    "corrected": "corrected by the audit",
    "naive": "settled prompts taken for stable",
    "full": "all replies",
}


def adaptive(table: pl.DataFrame) -> Figure:
    """Each measure's estimates: a panel a measure, a row a model, a colour a way to estimate."""
    if table["corrected"].is_null().all():
        return nothing(NO_LABELS)
    # The others are in the table.
    judge = table["judge"][0]
    table = table.filter(judge=judge)
    models = table["model"].unique(maintain_order=True).to_list()
    ways = [way for way in _WORDS if table[way].is_not_null().any()]
    figure, every = plt.subplots(
        1,
        len(MEASURES),
        figsize=(2.3 * len(MEASURES), 1.2 + 0.45 * len(models)),
        layout="constrained",
    )
    shifts = apart(len(ways), 0.2, 0.7)
    for number, (axes, (measure, words)) in enumerate(zip(every, MEASURES.items(), strict=True)):
        for way_number, way in enumerate(ways):
            rows = table.filter(pl.col(way).is_not_null(), measure=measure)
            axes.errorbar(
                rows[way],
                [models.index(model) + shifts[way_number] for model in rows["model"]],
                xerr=errors(rows, way),
                linestyle="none",
                ms=5,
                capsize=2,
                **look(way_number),
            )
        axes.set_title(words, fontsize=10)
        shown = [""] * len(models) if number else [wrapped(model, 1.4) for model in models]
        axes.set_yticks(range(len(models)), shown, fontsize=8)
        axes.set_ylim(len(models) - 0.5, -0.5)
        axes.tick_params(axis="y", length=0)
        axes.locator_params(axis="x", nbins=4)
    handles = [
        Line2D([], [], linestyle="none", ms=5, label=_WORDS[way], **look(number))
        for number, way in enumerate(ways)
    ]
    legend(figure, handles, f"under {judge}; 95% intervals")
    return figure
