"""The charts of a run's page, by altair: each without rows, which the page gives it.

Which models stand out, the page says by the parameter ``chosen``.
"""

from collections.abc import Sequence
from typing import Any

import altair as alt

# Okabe and Ito's palette, as in the figures; shapes tell models apart in grey. No two of 56 models
# look the same.
# Those of the figures, three of them darker: on a page, 3 : 1 against light and dark alike.
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#C0679A", "#B07A00", "#2F8FC9", "#7F7F7F"]
SHAPES = [
    "circle",
    "square",
    "triangle-up",
    "diamond",
    "triangle-down",
    "cross",
    "triangle-right",
    "triangle-left",
]
ROWS = "rows"
_FADED = 0.2
# Pixels of a model within a group, and between groups.
_STEP, _GAP = 17, 16
_BAR = 50
SHARE = "share of prompts"
_CHOSEN = "!length(chosen) || indexof(chosen, datum.model) >= 0"


def charts(
    models: Sequence[str], judges: Sequence[str], groups: dict[str, Sequence[str]]
) -> dict[str, dict[str, Any]]:
    """Return Vega-Lite specifications by name.

    Rows of "flips" have model, flips, low, high and hard; those of the others model, value, low,
    high, from and to (the same, or the value where there is no interval) and what the chart is by:
    temperature (drawn at "at"), judge, scoring, or group.

    Args:
        models, judges: in their order.
        groups: by the name of the chart, its groups: those of sources or categories.
    """
    by = {"judges": ("judge", judges), "scoring": ("scoring", None)}
    by |= {name: ("group", values) for name, values in groups.items()}
    specs = {
        "flips": _flips(models),
        "models": _intervals(models, "model", models, lone=True),
        "temperature": _lines(models),
        **{name: _intervals(models, *fields) for name, fields in by.items()},
    }
    return {name: spec.to_dict() for name, spec in specs.items()}


def compared_chart(models: Sequence[str]) -> dict[str, Any]:
    """Return the chart of prompts by their SSI in two runs; rows have model, there, here and n."""
    # The largest of three shares is never below a third.
    least = 0.3
    scale = alt.Scale(domain=[least, 1], nice=False)
    axes = {
        name: channel(f"{name}:Q", title=f"SSI in {words} run", scale=scale, axis=_axis())
        for name, channel, words in (("there", alt.X, "the other"), ("here", alt.Y, "this"))
    }
    diagonal = (
        alt.Chart(alt.InlineData([{"there": end, "here": end} for end in (least, 1)]))
        .mark_line(strokeDash=[4, 4], opacity=0.6, color="grey")
        .encode(x=axes["there"], y=axes["here"])
    )
    points = (
        alt.Chart(alt.NamedData(name=ROWS))
        .mark_point(opacity=0.8)
        .encode(
            x=axes["there"],
            y=axes["here"],
            size=alt.Size("n:Q", title="prompts", scale=alt.Scale(range=[20, 500], zero=False)),
            tooltip=["model:N", "there:Q", "here:Q", alt.Tooltip("n:Q", title="prompts")],
            **_by_model(models),
        )
    )
    return (diagonal + points).properties(width="container", height=320).to_dict()


def _flips(models: Sequence[str]) -> alt.LayerChart:
    base = alt.Chart(alt.NamedData(name=ROWS)).encode(
        y=alt.Y("model:N", sort=None, title=None, axis=alt.Axis(labelLimit=220))
    )
    hints = ["model:N", *_numbers("flips", "low", "high", "hard")]
    every = base.mark_bar(
        fill="#CC6677", fillOpacity=0.45, stroke="#CC6677", height={"band": 0.55}
    ).encode(x=_share("flips:Q", SHARE), tooltip=hints)
    hard = base.mark_bar(color="#CC6677", height={"band": 0.55}).encode(
        x=_share("hard:Q", SHARE), tooltip=hints
    )
    whisker = base.mark_errorbar(ticks={"size": 10}, rule={"strokeWidth": 1.5}).encode(
        x=_share("low:Q", SHARE), x2="high:Q"
    )
    return (every + hard + whisker).properties(width="container", height=_BAR * len(models))


def _intervals(
    models: Sequence[str], by: str, values: Sequence[str] | None, lone: bool = False
) -> alt.LayerChart:
    """Return estimates with their intervals: a row a value, within it a mark a model."""
    # In the order of the rows: names in an order of their own would be read as a program.
    y = alt.Y(f"{by}:N", sort=None, title=None)
    # As in the figures, "three-way".
    words = {"labelExpr": "replace(datum.label, '_', '-')"} if by == "scoring" else {}
    y.axis = alt.Axis(labelLimit=180, domain=False, ticks=False, **words)
    base = _base().encode(y=y)
    n_values = len(values) if values else 3
    height = n_values * (_STEP * len(models) + _GAP)
    if lone:
        height = n_values * (_STEP + _GAP)
    else:
        base = base.encode(yOffset=alt.YOffset("model:N", sort=None))
    hints = [f"{by}:N"] if lone else [f"{by}:N", "model:N"]
    bars = base.mark_rule(strokeWidth=2).encode(
        x=_share("from:Q", None), x2="to:Q", **_by_model(models, None)
    )
    points = base.mark_point(filled=True, size=70, cursor="pointer").encode(
        x=_share("value:Q", None),
        tooltip=[*hints, *_numbers("value", "low", "high")],
        **_by_model(models),
    )
    return (bars + points).add_params(_chosen()).properties(width="container", height=height)


def _lines(models: Sequence[str]) -> alt.LayerChart:
    base = _base().encode(
        x=alt.X(
            "at:Q",
            title="temperature",
            scale=alt.Scale(nice=False, zero=False, padding=10),
            axis=alt.Axis(tickCount=5),
        )
    )
    line = base.mark_line().encode(y=_height("value:Q"), **_by_model(models, None))
    bars = base.mark_rule(strokeWidth=1.5).encode(
        y=_height("from:Q"), y2="to:Q", **_by_model(models, None)
    )
    points = base.mark_point(filled=True, size=60, cursor="pointer").encode(
        y=_height("value:Q"),
        tooltip=["model:N", "temperature:Q", *_numbers("value", "low", "high")],
        **_by_model(models),
    )
    return (line + bars + points).add_params(_chosen()).properties(width="container", height=260)


def _base() -> alt.Chart:
    opacity = alt.condition(_CHOSEN, alt.value(1), alt.value(_FADED))
    return alt.Chart(alt.NamedData(name=ROWS)).encode(opacity=opacity)


def _chosen() -> alt.Parameter:
    return alt.param(name="chosen", value=[])


def _by_model(models: Sequence[str], shape: str | None = "shape") -> dict[str, Any]:
    """Return a colour a model and a shape a model; the page has the legend."""
    colours = [COLOURS[place % len(COLOURS)] for place in range(len(models))]
    found = {
        "color": alt.Color(
            "model:N", legend=None, scale=alt.Scale(domain=list(models), range=colours)
        )
    }
    if shape:
        shapes = [SHAPES[place % len(SHAPES)] for place in range(len(models))]
        scale = alt.Scale(domain=list(models), range=shapes)
        found[shape] = alt.Shape("model:N", legend=None, scale=scale)
    return found


def _share(field: str, title: str | None) -> alt.X:
    return alt.X(field, title=title, scale=alt.Scale(zero=False, nice=True), axis=_axis())


def _height(field: str) -> alt.Y:
    return alt.Y(field, title=None, scale=alt.Scale(zero=False, nice=True), axis=_axis())


def _axis() -> alt.Axis:
    return alt.Axis(tickCount=5, labelOverlap=True)


def _numbers(*fields: str) -> list[alt.Tooltip]:
    return [alt.Tooltip(f"{field}:Q", format=".3f") for field in fields]
