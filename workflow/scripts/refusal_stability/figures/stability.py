"""Figures of stability: by prompt, by temperature, by label and by category."""

import matplotlib.pyplot as plt
import numpy as np
import polars as pl
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from refusal_stability.core.labels import COMPLY, REFUSE, VALID_LABELS
from refusal_stability.core.names import ALL_MODELS
from refusal_stability.core.text import decimals
from refusal_stability.figures.style import (
    INTERVALS,
    LABEL_COLOURS,
    LABEL_HATCHES,
    NO_LABELS,
    ONE_LABEL,
    Data,
    apart,
    errors,
    legend,
    model_legend,
    model_panel,
    nothing,
    one_label,
    panels,
    row_font,
    row_height,
    smallest_gap,
    title,
)
from refusal_stability.schemas.stages import POOLED


def ssi_distribution(data: Data) -> Figure:
    """Share of prompts by pooled SSI, a panel a model, and the line below which it is unstable."""
    pooled = _pooled(data)
    if pooled.is_empty():
        return nothing(NO_LABELS)
    if one_label(data.rows("models")):
        return nothing(ONE_LABEL)
    width = 4.2
    figure, every = panels(len(data.models), width=width, height=3.2)
    # Bins are centred on what 20 samples can give, so that an SSI of 1 stands at 1.
    edges = np.arange(0.275, 1.05, 0.05)
    for axes, model in zip(every, data.models, strict=True):
        ssi = pooled.filter(model=model)["ssi"].to_numpy()
        weights = np.full(len(ssi), 1 / max(1, len(ssi)))
        axes.hist(
            ssi, bins=edges, weights=weights, color=data.look(model)["color"], edgecolor="white"
        )
        axes.axvline(data.unstable_below, color="black", linestyle="--", linewidth=1)
        mean = data.rows("models").filter(model=model)["mean_ssi"].item()
        title(axes, model, width, f"mean {_number(mean)}")
        axes.set_xlabel("SSI, all temperatures pooled")
        axes.set_ylim(0, 1)
    every[0].set_ylabel("share of prompts")
    every[0].annotate(
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
    within = _within(data)
    if within.is_empty():
        return nothing(NO_LABELS)
    if one_label(within):
        return nothing(
            "At each temperature, every prompt has one valid label: nothing can flip within a "
            "temperature. More seeds would show it."
        )
    figure, every = panels(2, width=model_panel(data), height=3.4)
    # A little apart, so that intervals of several models do not hide each other.
    shifts = apart(len(data.models), 0.012, 0.5 * smallest_gap(within["temperature"]))
    for axes, column, label in zip(
        every, ("mean_ssi", "flip_rate"), ("mean SSI", "flip rate"), strict=True
    ):
        for model, shift in zip(data.models, shifts, strict=True):
            table = within.filter(model=model).sort("temperature")
            axes.errorbar(
                table["temperature"].to_numpy() + shift,
                table[column].to_numpy(),
                yerr=errors(table, column),
                **data.line_look(model),
                capsize=3,
                label=model,
            )
        axes.set_xlabel("temperature")
        axes.set_ylabel(f"{label} within a temperature")
        temperatures = within["temperature"].unique().sort()
        axes.set_xticks(temperatures.to_list(), [f"{value:g}" for value in temperatures])
    # A little beyond 1 and 0, so that markers there are whole.
    every[0].set_ylim(top=1 + 0.03 * (1 - every[0].get_ylim()[0]))
    every[1].set_ylim(bottom=-0.03 * every[1].get_ylim()[1])
    model_legend(figure, every[0], INTERVALS)
    return figure


def label_mix(data: Data) -> Figure:
    """Share of each label by temperature, a panel a model."""
    within = _within(data)
    if within.is_empty():
        return nothing(NO_LABELS)
    width = 3.6
    figure, every = panels(len(data.models), width=width, height=3.2)
    for axes, model in zip(every, data.models, strict=True):
        table = within.filter(model=model).sort("temperature")
        ticks = [f"{value:g}" for value in table["temperature"]]
        bottom = np.zeros(table.height)
        for label in VALID_LABELS:
            column = "refusal_rate" if label == REFUSE else f"{label.lower()}_rate"
            share = table[column].to_numpy()
            axes.bar(ticks, share, bottom=bottom, **_label_style(label))
            bottom += share
        title(axes, model, width)
        axes.set_xlabel("temperature")
        axes.set_ylim(0, 1)
        axes.grid(visible=False)
    every[0].set_ylabel("share of labels")
    legend(figure, [Patch(label=label, **_label_style(label)) for label in VALID_LABELS])
    return figure


def ssi_and_compliance(data: Data) -> Figure:
    """Pooled SSI of each prompt against its share of COMPLY; a larger point is more prompts."""
    pooled = _pooled(data).with_columns(comply=pl.col("n_comply") / pl.col("n"))
    if pooled.is_empty():
        return nothing(NO_LABELS)
    if one_label(data.rows("models")):
        return nothing(ONE_LABEL)
    width = 4.0
    figure, every = panels(len(data.models), width=width, height=3.6)
    for axes, model in zip(every, data.models, strict=True):
        points = pooled.filter(model=model).group_by("comply", "ssi").len().sort("comply", "ssi")
        axes.scatter(
            points["comply"].to_numpy(),
            points["ssi"].to_numpy(),
            s=_area(points["len"].to_numpy()),
            **data.look(model),
            alpha=0.6,
            linewidths=0,
        )
        axes.axhline(data.unstable_below, color="black", linestyle="--", linewidth=1)
        title(axes, model, width)
        axes.set_xlabel("compliance rate of the prompt")
        axes.set_xlim(-0.05, 1.05)
        axes.set_ylim(0.3, 1.04)
    every[0].set_ylabel("SSI of the prompt")
    most = pooled.group_by("model", "comply", "ssi").len()["len"].max()
    numbers = [number for number in (1, 10, 100, 1000, 10_000) if number <= most]
    points = [_point(number) for number in numbers]
    legend(figure, points)
    return figure


def categories(data: Data) -> Figure:
    """Mean pooled SSI by source and by category of the prompts, with 95% intervals."""
    every = data.rows("categories").filter(
        pl.col("model") != ALL_MODELS, pl.col("mean_ssi").is_not_null()
    )
    if every.is_empty():
        return nothing(NO_LABELS)
    if one_label(data.rows("models")):
        return nothing(ONE_LABEL)
    order = (
        every.group_by("grouping", "group", maintain_order=True)
        .agg(pl.col("mean_ssi").mean(), pl.col("n_prompts").max())
        .sort("grouping", "mean_ssi", descending=[True, True])
    )
    rows = {grouping: order.filter(grouping=grouping) for grouping in ("source", "category")}
    heights = [max(2, groups.height) for groups in rows.values()]
    height = row_height(sum(heights), max(0.36, 0.12 * len(data.models)))
    figure, both = plt.subplots(
        2,
        1,
        figsize=(7.2, 1.4 + height * sum(heights)),
        height_ratios=heights,
        sharex=True,
        layout="constrained",
    )
    shifts = apart(len(data.models), 0.16, 0.8)
    for axes, (grouping, groups) in zip(both, rows.items(), strict=True):
        places = {group: place for place, group in enumerate(groups["group"])}
        for model, shift in zip(data.models, shifts, strict=True):
            table = every.filter(model=model, grouping=grouping)
            axes.errorbar(
                table["mean_ssi"].to_numpy(),
                [places[group] + shift for group in table["group"]],
                xerr=errors(table, "mean_ssi"),
                **data.look(model),
                linestyle="none",
                capsize=2,
                label=model,
            )
        counts = zip(groups["group"], groups["n_prompts"], strict=True)
        axes.set_yticks(
            range(len(places)),
            [f"{group} ({count})" for group, count in counts],
            fontsize=row_font(height),
        )
        axes.set_ylim(len(places) - 0.5, -0.5)
        axes.set_title(f"by {grouping} (number of prompts)", fontsize=10, loc="left")
    both[1].set_xlim(right=1.01)
    both[1].set_xlabel("mean SSI, all temperatures pooled")
    model_legend(figure, both[0], INTERVALS)
    return figure


def _pooled(data: Data) -> pl.DataFrame:
    return data.stability.filter(pl.col("n") > 0, scope=POOLED, scoring="three_way")


def _within(data: Data) -> pl.DataFrame:
    return data.rows("within_temperature").filter(
        pl.col("model") != ALL_MODELS, pl.col("mean_ssi").is_not_null()
    )


def _area(prompts: np.ndarray) -> np.ndarray:
    # Hundreds of prompts that are always refused would hide the rest if areas were numbers.
    return 18 * np.sqrt(prompts)


def _point(prompts: int) -> Line2D:
    label = "1 prompt" if prompts == 1 else f"{prompts:,}"
    size = float(np.sqrt(_area(np.array(prompts))))
    return Line2D([], [], linestyle="none", marker="o", color="grey", ms=size, label=label)


def _label_style(label: str) -> dict[str, object]:
    return {
        "facecolor": LABEL_COLOURS[label],
        "hatch": LABEL_HATCHES[label],
        "edgecolor": "white" if label != COMPLY else "#8A7A30",
        "linewidth": 0.6,
    }


def _number(value: float | None) -> str:
    return "undefined" if value is None else decimals(value)
