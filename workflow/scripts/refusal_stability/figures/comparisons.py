"""Figures of comparisons: of models, of temperatures and of judges."""

import matplotlib.pyplot as plt
import numpy as np
import polars as pl
from matplotlib.figure import Figure

from refusal_stability.core.labels import VALID_LABELS
from refusal_stability.core.names import ALL_MODELS
from refusal_stability.figures.style import (
    Data,
    forest,
    nothing,
    panels,
    row_font,
    row_height,
    significance_legend,
    title,
    wrapped,
)

# The pairs of 25 models; the rest of more is in the table.
MAX_PAIRS = 300


def model_differences(data: Data) -> Figure:
    """Every two models: differences of mean SSI, flip rate and refusal rate, with intervals."""
    table = data.rows("model_pairs").filter(pl.col("difference").is_not_null())
    if table.is_empty():
        return nothing("Fewer than two models have valid labels: there is nothing to compare.")
    pairs = table.select("model_a", "model_b").unique(maintain_order=True)
    note = None
    if pairs.height > MAX_PAIRS:
        note = f"the {MAX_PAIRS} of {pairs.height} pairs whose mean SSI differs most"
        pairs = (
            table.filter(measure="mean_ssi")
            .sort(pl.col("difference").abs(), descending=True, maintain_order=True)
            .head(MAX_PAIRS)
            .select("model_a", "model_b")
        )
    height = row_height(pairs.height, 0.32)
    names = [f"{model_a} \N{MINUS SIGN} {model_b}" for model_a, model_b in pairs.iter_rows()]
    font = row_font(height)
    if max(map(len, names)) > 40 and pairs.height <= 30:
        height = 0.5
        names = [name.replace(" \N{MINUS SIGN}", "\n\N{MINUS SIGN}") for name in names]
    # A panel is as wide whatever the names' length.
    longest = max(len(line) for name in names for line in name.splitlines())
    for_names = longest * font / 72 * 0.6
    measures = {"mean_ssi": "mean SSI", "flip_rate": "flip rate", "refusal_rate": "refusal rate"}
    figure, every = plt.subplots(
        1,
        len(measures),
        figsize=(for_names + 2.7 * len(measures), 1.2 + height * max(2, len(names))),
        sharey=True,
        layout="constrained",
    )
    for axes, (measure, label) in zip(every, measures.items(), strict=True):
        rows = pairs.with_row_index("place").join(
            table.filter(measure=measure), on=["model_a", "model_b"], maintain_order="left"
        )
        forest(
            axes, rows, rows["place"].to_list(), color="black", marker="o", ms=0.6 * font, capsize=2
        )
        axes.set_title(label, fontsize=10)
        axes.set_xlabel("difference")
        axes.tick_params(axis="y", length=0)
        # From the top of a long figure its bottom is out of sight.
        axes.tick_params(axis="x", labeltop=len(names) > 40)
        axes.locator_params(axis="x", nbins=5)
    every[0].set_yticks(range(len(names)), names, fontsize=font)
    every[0].set_ylim(len(names) - 0.5, -0.5)
    if note:
        figure.suptitle(note, fontsize=10)
    significance_legend(figure)
    return figure


def temperature_pairs(data: Data) -> Figure:
    """Every two temperatures: differences of mean SSI, a panel a model and one of their mean."""
    table = data.rows("temperature_pairs").filter(pl.col("difference").is_not_null())
    if table.is_empty():
        return nothing(
            "Fewer than two temperatures have valid labels: there is nothing to compare."
        )
    pairs = table.select("temperature_a", "temperature_b").unique().sort(pl.all())
    names = [f"{a:g} \N{MINUS SIGN} {b:g}" for a, b in pairs.iter_rows()]
    height = row_height(len(names), 0.3)
    shown = [*data.models, ALL_MODELS] if len(data.models) > 1 else data.models
    width = 3.6
    figure, every = panels(
        len(shown), width=width, height=1.3 + height * max(2, len(names)), share=True
    )
    for axes, model in zip(every, shown, strict=True):
        rows = pairs.with_row_index("place").join(
            table.filter(model=model),
            on=["temperature_a", "temperature_b"],
            maintain_order="left",
        )
        single = model != ALL_MODELS
        forest(
            axes,
            rows,
            rows["place"].to_list(),
            **(data.look(model) if single else {"color": "black", "marker": "o"}),
            capsize=2,
        )
        title(axes, model if single else "mean over models", width)
        axes.set_xlabel("difference of mean SSI")
        axes.locator_params(axis="x", nbins=5)
    every[0].set_yticks(range(len(names)), names, fontsize=row_font(height))
    every[0].set_ylim(len(names) - 0.5, -0.5)
    every[0].set_ylabel("temperatures")
    significance_legend(figure)
    return figure


def judge_confusion(data: Data) -> Figure:
    """What every other judge says of the responses with each label of this one."""
    table = data.tables["judge_confusion"].filter(pl.col("n") > 0, model=ALL_MODELS)
    # This judge's labels are the rows, whichever of the two it is.
    ends = ("judge", "label")
    other_way = {f"{end}_{a}": f"{end}_{b}" for end in ends for a, b in ("ab", "ba")}
    columns = ["judge_a", "judge_b", "label_a", "label_b", "n"]
    both = pl.concat([table.select(columns), table.rename(other_way).select(columns)])
    both = both.filter(judge_a=data.judge)
    if both.is_empty():
        return nothing(
            "No other judge gave the same replies valid labels: there is nothing to compare."
        )
    others = both["judge_b"].unique(maintain_order=True).to_list()
    width, height = 3.8, 3.7
    figure, every = panels(len(others), width=width, height=height)
    for axes, other in zip(every, others, strict=True):
        counts = np.zeros((len(VALID_LABELS), len(VALID_LABELS)), dtype=np.int64)
        for label_a, label_b, n in both.filter(judge_b=other).select(columns[2:]).iter_rows():
            counts[VALID_LABELS.index(label_a), VALID_LABELS.index(label_b)] = n
        of_row = counts.sum(axis=1, keepdims=True)
        shares = counts / np.maximum(1, of_row)
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        for (row, column), n in np.ndenumerate(counts):
            share = shares[row, column]
            text = f"{share:.1%}\n{n}" if of_row[row] else "none"
            colour = "white" if share > 0.6 else "black"
            axes.text(column, row, text, ha="center", va="center", color=colour)
        ticks = range(len(VALID_LABELS))
        axes.set_xticks(ticks, VALID_LABELS)
        axes.set_yticks(ticks, VALID_LABELS, rotation=90, va="center")
        axes.set_xlabel(wrapped(f"{other} says", width))
        axes.grid(visible=False)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
    every[0].set_ylabel(wrapped(f"{data.judge} says", height))
    figure.suptitle("share of each row, and number of responses", fontsize=10)
    return figure
