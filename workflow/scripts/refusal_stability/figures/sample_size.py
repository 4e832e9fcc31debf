"""Figures of choices: how many samples a prompt gets, and where instability begins."""

import polars as pl
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from refusal_stability.core.names import ALL_MODELS
from refusal_stability.figures.style import (
    INTERVALS,
    NO_LABELS,
    ONE_LABEL,
    Data,
    apart,
    errors,
    model_legend,
    model_panel,
    nothing,
    one_label,
    panels,
    smallest_gap,
)
from refusal_stability.schemas.stages import POOLED

# The bands of more models would hide each other, in grey most of all.
_MAX_BANDS = 4


def sample_size(data: Data) -> Figure:
    """Agreement of the majority of n samples with that of all, and of the others."""
    table = data.rows("sample_size").filter(
        pl.col("model") != ALL_MODELS, pl.col("agreement").is_not_null(), scope=POOLED
    )
    if table.is_empty():
        return nothing(NO_LABELS)
    if table["n"].max() == 1:
        return nothing(ONE_LABEL)
    figure, both = panels(2, width=model_panel(data), height=3.4, share=True)
    bands = len(data.models) <= _MAX_BANDS
    columns = {"agreement": "of all samples", "out_of_sample": "of the samples not drawn"}
    for axes, (column, whose) in zip(both, columns.items(), strict=True):
        for model in data.models:
            line = table.filter(pl.col(column).is_not_null(), model=model).sort("n")
            n = line["n"].to_numpy()
            axes.plot(n, line[column].to_numpy(), ms=5, label=model, **data.line_look(model))
            if bands:
                ends = (
                    line[f"{column}_{end}"].cast(pl.Float64).to_numpy() for end in ("low", "high")
                )
                axes.fill_between(
                    n, *ends, alpha=0.18, linewidth=0, color=data.look(model)["color"]
                )
        axes.set_title(f"majority of n samples is that\n{whose}", fontsize=10)
        axes.set_xlabel("n")
        axes.set_xscale("log")
        sizes = table["n"].unique().sort().to_list()
        axes.set_xticks(sizes, [str(n) for n in sizes])
        axes.xaxis.set_minor_locator(NullLocator())
    both[0].set_ylabel("chance, mean over prompts")
    model_legend(figure, both[0], f"bands: {INTERVALS}" if bands else "")
    return figure


def thresholds(data: Data) -> Figure:
    """Share of unstable prompts by the threshold below which a prompt is unstable."""
    table = data.rows("thresholds").filter(
        pl.col("model") != ALL_MODELS, pl.col("unstable_rate").is_not_null()
    )
    if table.is_empty():
        return nothing("No threshold or no valid label: there is nothing to draw.")
    if one_label(data.rows("models")):
        return nothing(ONE_LABEL)
    figure, (axes,) = panels(1, width=6.0 if len(data.models) <= 8 else 8.0, height=3.6)
    shifts = apart(len(data.models), 0.004, 0.5 * smallest_gap(table["threshold"]))
    for model, shift in zip(data.models, shifts, strict=True):
        rates = table.filter(model=model).sort("threshold")
        axes.errorbar(
            rates["threshold"].to_numpy() + shift,
            rates["unstable_rate"].to_numpy(),
            yerr=errors(rates, "unstable_rate"),
            **data.line_look(model),
            capsize=3,
            label=model,
        )
    axes.axvline(data.unstable_below, color="black", linestyle="--", linewidth=1)
    limits = table["threshold"].unique().sort()
    axes.set_xticks(limits.to_list(), [f"{limit:g}" for limit in limits])
    # A little below 0, so that a marker at 0 is whole.
    axes.set_ylim(bottom=-0.03 * axes.get_ylim()[1])
    axes.set_xlabel("unstable if the pooled SSI is below")
    axes.set_ylabel("share of unstable prompts")
    model_legend(
        figure, axes, f"{INTERVALS}; dashed: this run's threshold, {data.unstable_below:g}"
    )
    return figure
