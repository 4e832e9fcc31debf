"""Figures of one judge, drawn from the tables and from stability; nothing is computed here."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from refusal_stability.contracts import POOLED
from refusal_stability.grid import ALL_MODELS
from refusal_stability.labels import COMPLY, PARTIAL, REFUSE, VALID_LABELS

# Okabe and Ito's palette: told apart by colour-blind readers; markers tell them apart in grey.
_MODEL_COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]
_MARKERS = ["o", "s", "^", "D", "v", "P", "X"]
# Tol's muted palette, so that a label never looks like a model.
_LABEL_COLOURS = {REFUSE: "#332288", PARTIAL: "#DDCC77", COMPLY: "#CC6677"}
_LABEL_HATCHES = {REFUSE: "", PARTIAL: "//", COMPLY: ".."}
_STYLE = {
    "figure.dpi": 100,
    "savefig.dpi": 200,
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    # A dollar sign in a category is a dollar sign.
    "text.parse_math": False,
    # The same figure gives the same bytes.
    "svg.hashsalt": "refusal-stability",
    "svg.fonttype": "none",
}


@dataclass(frozen=True)
class Data:
    """What the figures of one judge are drawn from.

    stability keeps the contract :class:`~refusal_stability.contracts.Stability`; the tables
    keep theirs, with the rows of this judge alone.
    """

    stability: pl.DataFrame
    models: pl.DataFrame
    within_temperature: pl.DataFrame
    categories: pl.DataFrame
    unstable_below: float

    @property
    def model_names(self) -> list[str]:
        """The models in the order of the configuration."""
        return self.models.filter(pl.col("model") != ALL_MODELS)["model"].to_list()


def draw_figures(data: Data, folder: Path) -> None:
    """Write every figure of :data:`FIGURES` into ``folder``, as SVG and PNG."""
    folder.mkdir(parents=True, exist_ok=True)
    with plt.rc_context(_STYLE):
        for name, draw in FIGURES.items():
            figure = draw(data)
            figure.savefig(folder / f"{name}.svg", metadata={"Date": None})
            figure.savefig(folder / f"{name}.png")
            plt.close(figure)


def ssi_distribution(data: Data) -> Figure:
    """Share of prompts by pooled SSI, a panel a model, and the line below which it is unstable."""
    names = data.model_names
    figure, panels = _panels(len(names), width=4.2, height=3.2)
    pooled = data.stability.filter(scope=POOLED, scoring="three_way")
    # Bins are centred on what 20 samples can give, so that an SSI of 1 stands at 1.
    edges = np.arange(0.275, 1.05, 0.05)
    for axes, name in zip(panels, names, strict=True):
        ssi = pooled.filter(model=name)["ssi"].drop_nulls().to_numpy()
        weights = np.full(len(ssi), 1 / max(1, len(ssi)))
        axes.hist(ssi, bins=edges, weights=weights, color=_colour(data, name), edgecolor="white")
        axes.axvline(data.unstable_below, color="black", linestyle="--", linewidth=1)
        mean = data.models.filter(model=name)["mean_ssi"].item()
        axes.set_title(f"{name}\nmean {_number(mean)}", fontsize=10)
        axes.set_xlabel("SSI, all temperatures pooled")
        axes.set_ylim(0, 1)
    panels[0].set_ylabel("share of prompts")
    panels[0].annotate(
        f"unstable\nbelow {data.unstable_below:g}",
        (data.unstable_below, 0.95),
        xytext=(-6, 0),
        textcoords="offset points",
        ha="right",
        va="top",
        fontsize=9,
    )
    return figure


def temperature(data: Data) -> Figure:
    """Mean SSI and flip rate within each temperature, with 95% intervals."""
    figure, panels = _panels(2, width=4.6, height=3.8)
    for axes, column, label in zip(
        panels, ("mean_ssi", "flip_rate"), ("mean SSI", "flip rate"), strict=True
    ):
        for number, name in enumerate(data.model_names):
            table = data.within_temperature.filter(model=name).sort("temperature")
            # A little apart, so that intervals of several models do not hide each other.
            shift = 0.012 * (number - (len(data.model_names) - 1) / 2)
            axes.errorbar(
                table["temperature"].to_numpy() + shift,
                table[column].to_numpy(),
                yerr=_errors(table, column),
                color=_colour(data, name),
                marker=_marker(data, name),
                capsize=3,
                label=name,
            )
        axes.set_xlabel("temperature")
        axes.set_ylabel(f"{label} within a temperature")
        temperatures = data.within_temperature["temperature"].unique().sort()
        axes.set_xticks(temperatures.to_list(), [f"{value:g}" for value in temperatures])
    panels[0].set_ylim(top=1.01)
    panels[1].set_ylim(bottom=-0.01)
    panels[0].legend(loc="lower left")
    return figure


def label_mix(data: Data) -> Figure:
    """Share of each label by temperature, a panel a model."""
    names = data.model_names
    figure, panels = _panels(len(names), width=3.6, height=3.6)
    for axes, name in zip(panels, names, strict=True):
        table = data.within_temperature.filter(model=name).sort("temperature")
        ticks = [f"{value:g}" for value in table["temperature"]]
        bottom = np.zeros(table.height)
        for label in VALID_LABELS:
            column = "refusal_rate" if label == REFUSE else f"{label.lower()}_rate"
            share = table[column].fill_null(0).to_numpy()
            axes.bar(
                ticks,
                share,
                bottom=bottom,
                color=_LABEL_COLOURS[label],
                hatch=_LABEL_HATCHES[label],
                edgecolor="white" if label != PARTIAL else "#8A7A30",
                linewidth=0.6,
                label=label,
            )
            bottom += share
        axes.set_title(name, fontsize=10)
        axes.set_xlabel("temperature")
        axes.set_ylim(0, 1)
        axes.grid(visible=False)
    panels[0].set_ylabel("share of labels")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(VALID_LABELS))
    return figure


def ssi_and_compliance(data: Data) -> Figure:
    """Pooled SSI of each prompt against its share of COMPLY; the area counts the prompts."""
    names = data.model_names
    figure, panels = _panels(len(names), width=4.0, height=3.6)
    pooled = data.stability.filter(pl.col("n") > 0, scope=POOLED, scoring="three_way").with_columns(
        comply=pl.col("n_comply") / pl.col("n")
    )
    for axes, name in zip(panels, names, strict=True):
        points = pooled.filter(model=name).group_by("comply", "ssi").len().sort("comply", "ssi")
        axes.scatter(
            points["comply"].to_numpy(),
            points["ssi"].to_numpy(),
            s=18 * points["len"].to_numpy(),
            color=_colour(data, name),
            marker=_marker(data, name),
            alpha=0.6,
            linewidths=0,
        )
        axes.axhline(data.unstable_below, color="black", linestyle="--", linewidth=1)
        axes.set_title(name, fontsize=10)
        axes.set_xlabel("compliance rate of the prompt")
        axes.set_xlim(-0.05, 1.05)
        axes.set_ylim(0.3, 1.04)
    panels[0].set_ylabel("SSI of the prompt")
    return figure


def categories(data: Data) -> Figure:
    """Mean pooled SSI by source and by category of the prompts, with 95% intervals."""
    order = (
        data.categories.group_by("grouping", "group", maintain_order=True)
        .agg(pl.col("mean_ssi").mean(), pl.col("n_prompts").max())
        .sort("grouping", "mean_ssi", descending=[True, True])
    )
    rows = {grouping: order.filter(grouping=grouping) for grouping in ("source", "category")}
    heights = [max(2, rows[grouping].height) for grouping in rows]
    figure, panels = plt.subplots(
        2,
        1,
        figsize=(7.2, 1.6 + 0.36 * sum(heights)),
        height_ratios=heights,
        sharex=True,
        layout="constrained",
    )
    for axes, (grouping, groups) in zip(panels, rows.items(), strict=True):
        places = {group: place for place, group in enumerate(groups["group"])}
        for number, name in enumerate(data.model_names):
            table = data.categories.filter(
                pl.col("mean_ssi").is_not_null(), model=name, grouping=grouping
            )
            shift = 0.16 * (number - (len(data.model_names) - 1) / 2)
            axes.errorbar(
                table["mean_ssi"].to_numpy(),
                [places[group] + shift for group in table["group"]],
                xerr=_errors(table, "mean_ssi"),
                color=_colour(data, name),
                marker=_marker(data, name),
                linestyle="none",
                capsize=2,
                label=name,
            )
        counts = zip(groups["group"], groups["n_prompts"], strict=True)
        axes.set_yticks(range(len(places)), [f"{group} ({count})" for group, count in counts])
        axes.set_ylim(len(places) - 0.5, -0.5)
        axes.set_title(f"by {grouping} (number of prompts)", fontsize=10, loc="left")
    panels[1].set_xlabel("mean SSI, all temperatures pooled")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(4, len(labels)))
    return figure


FIGURES: dict[str, Callable[[Data], Figure]] = {
    "ssi_distribution": ssi_distribution,
    "temperature": temperature,
    "label_mix": label_mix,
    "ssi_and_compliance": ssi_and_compliance,
    "categories": categories,
}


def _panels(count: int, width: float, height: float) -> tuple[Figure, list[Axes]]:
    columns = min(count, 4)
    rows = -(-count // columns)
    figure, grid = plt.subplots(
        rows,
        columns,
        figsize=(width * columns, height * rows),
        squeeze=False,
        layout="constrained",
    )
    panels = list(grid.flat)
    for unused in panels[count:]:
        unused.remove()
    return figure, panels[:count]


def _colour(data: Data, name: str) -> str:
    return _MODEL_COLOURS[data.model_names.index(name) % len(_MODEL_COLOURS)]


def _marker(data: Data, name: str) -> str:
    return _MARKERS[data.model_names.index(name) % len(_MARKERS)]


def _errors(table: pl.DataFrame, column: str) -> np.ndarray:
    """Lengths of the error bars below and above the estimate, (2, rows)."""
    estimate = table[column].to_numpy()
    low, high = (table[f"{column}_{end}"].to_numpy() for end in ("low", "high"))
    return np.maximum(0, np.stack([estimate - low, high - estimate]).astype(float))


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"
