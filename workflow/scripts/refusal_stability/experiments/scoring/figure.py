"""Figure of `scoring`: what each way to count PARTIAL gives."""

import polars as pl
from matplotlib.figure import Figure

from refusal_stability.core.names import ALL_MODELS
from refusal_stability.experiments.scoring import analysis as scorings
from refusal_stability.figures.style import (
    NO_LABELS,
    legend,
    line_look,
    nothing,
    panels,
    title,
)


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
