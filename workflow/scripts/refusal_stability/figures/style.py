"""What the figures share: the data behind them, colours, panels, legends and error bars."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from refusal_stability.core.text import SIGNIFICANCE

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import polars as pl
from matplotlib.artist import Artist
from matplotlib.axes import Axes

from refusal_stability.core.labels import COMPLY, PARTIAL, REFUSE
from refusal_stability.core.names import ALL_MODELS

# Okabe and Ito's palette: told apart by colour-blind readers. In grey its colours are much alike:
# there, ten markers tell series apart, and lines have dashes too. No two of 70 look the same.
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]
MARKERS = ["o", "s", "^", "D", "v", "P", "X", "<", ">", "d"]
DASHES = ["-", "--", "-.", ":"]
# Of no single model, beside single ones.
OF_SEVERAL = {"color": "black", "marker": "*"}
# From dark to light as a reply gives way, so that they stand apart in grey; Tol's muted palette, so
# that a label never looks like a model.
LABEL_COLOURS = {REFUSE: "#332288", PARTIAL: "#CC6677", COMPLY: "#DDCC77"}
LABEL_HATCHES = {REFUSE: "", PARTIAL: "//", COMPLY: ".."}
# What each figure is written as: for screens, for print, and for slides.
KINDS = ("svg", "pdf", "png")
STYLE = {
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
    # TrueType, which journals ask for.
    "pdf.fonttype": 42,
}
NO_LABELS = "No reply has a valid label, so there is nothing to draw."
ONE_LABEL = (
    "Every prompt has one valid label, so its SSI is 1 by definition. More seeds or temperatures "
    "would show whether it is stable."
)
INTERVALS = "95% intervals over prompts"
FILLED = f"{INTERVALS}; filled: p < {SIGNIFICANCE:g} after Holm's correction"
# Inches. A figure may be taller than a page, but not without end.
_MAX_HEIGHT = 30.0


@dataclass(frozen=True)
class Data:
    """What the figures of one judge are drawn from.

    stability is this judge's and keeps the contract
    :class:`~schemas.stages.Stability`; the tables are those of all judges, by name,
    and keep theirs.
    """

    judge: str
    stability: pl.DataFrame
    tables: dict[str, pl.DataFrame]
    unstable_below: float

    def rows(self, name: str) -> pl.DataFrame:
        """This judge's rows of a table."""
        return self.tables[name].filter(judge=self.judge)

    @property
    def models(self) -> list[str]:
        """The models in the order of the tables."""
        return self.rows("models").filter(pl.col("model") != ALL_MODELS)["model"].to_list()

    def look(self, model: str) -> dict[str, str]:
        """A model's colour and marker in every figure."""
        return look(self.models.index(model))

    def line_look(self, model: str) -> dict[str, str]:
        """The same, and the dashes of its lines."""
        return line_look(self.models.index(model))


def look(number: int) -> dict[str, str]:
    """Return colour and marker of the series (a model, or a judge) of this number."""
    return {"color": COLOURS[number % len(COLOURS)], "marker": MARKERS[number % len(MARKERS)]}


def line_look(number: int) -> dict[str, str]:
    """Return the same, and the dashes of its lines."""
    return look(number) | {"linestyle": DASHES[number % len(DASHES)]}


def save(figure: Figure, path: Path) -> None:
    """Write a figure as each of :data:`KINDS`, beside each other, and close it."""
    # Without the date, the same figure gives the same bytes.
    dates = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
    for kind in KINDS:
        figure.savefig(path.with_name(f"{path.name}.{kind}"), metadata=dates.get(kind))
    plt.close(figure)


def one_label(table: pl.DataFrame) -> bool:
    """Whether each prompt of each row has one valid label, so that its SSI is 1 by definition."""
    return (table["n_responses"] - table["n_invalid"] <= table["n_prompts"]).all()


def model_panel(data: Data) -> float:
    """Return the width of a panel in which all models are drawn."""
    return 4.6 if len(data.models) <= 8 else 7.0


def nothing(sentence: str) -> Figure:
    """Return a figure that says why there is nothing to draw."""
    figure = plt.figure(figsize=(6.0, 1.6))
    figure.text(0.5, 0.5, textwrap.fill(sentence, 64), ha="center", va="center", fontsize=11)
    return figure


def panels(
    count: int, width: float, height: float, share: bool = False
) -> tuple[Figure, list[Axes]]:
    """Return a figure with ``count`` panels of so many inches, at most four in a row."""
    columns = min(count, 4)
    rows = -(-count // columns)
    figure, grid = plt.subplots(
        rows,
        columns,
        figsize=(width * columns, height * rows),
        squeeze=False,
        sharex=share,
        sharey=share,
        layout="constrained",
    )
    every = list(grid.flat)
    for unused in every[count:]:
        unused.remove()
    for axes in every[:count]:
        # Above an unused panel there are no tick labels to share.
        axes.tick_params(labelbottom=True)
    return figure, every[:count]


def title(axes: Axes, text: str, width: float, *more: str) -> None:
    """Write the title of a panel ``width`` inches wide, and ``more`` lines."""
    axes.set_title("\n".join([wrapped(text, width), *more]), fontsize=10)


def wrapped(text: str, width: float) -> str:
    """Return a text, which may be one long name, in lines of so many inches."""
    return textwrap.fill(text, int(width * 10), break_on_hyphens=False)


def legend(figure: Figure, handles: Sequence[Artist], heading: str | None = None) -> None:
    """Write the legend below the panels, with as many inches more for it as it needs."""
    width = figure.get_figwidth()
    labels = [wrapped(str(handle.get_label()), width) for handle in handles]
    longest = max(len(line) for label in labels for line in label.splitlines())
    font = 10 if len(labels) <= 12 else 8
    columns = max(1, min(len(labels), int(width / ((0.7 + 0.09 * longest) * font / 10))))
    tallest = max(label.count("\n") + 1 for label in labels)
    lines = -(-len(labels) // columns) * tallest + bool(heading)
    figure.set_figheight(figure.get_figheight() + 0.02 * font * lines + 0.1)
    figure.legend(
        handles, labels, loc="outside lower center", ncols=columns, title=heading, fontsize=font
    )


def model_legend(figure: Figure, axes: Axes, heading: str) -> None:
    """Write a legend of the models drawn in ``axes``."""
    legend(figure, axes.get_legend_handles_labels()[0], heading)


def significance_legend(figure: Figure) -> None:
    """Write what filled and hollow markers say."""
    handles = [
        Line2D([], [], linestyle="none", marker="o", color="black", mfc=fill, label=label)
        for fill, label in (
            ("black", f"p < {SIGNIFICANCE:g} after Holm's correction"),
            ("white", f"p \N{GREATER-THAN OR EQUAL TO} {SIGNIFICANCE:g}"),
        )
    ]
    legend(figure, handles, INTERVALS)


def forest(axes: Axes, table: pl.DataFrame, places: Sequence[float], **style: object) -> None:
    """Draw differences with their intervals, filled if significant by Holm, and zero.

    ``table`` has the columns difference, its ends and p_holm, a row for each of ``places``.
    """
    axes.axvline(0, color="black", linewidth=0.8)
    at = np.array(places, dtype=float)
    significant = table["p_holm"].fill_null(1).to_numpy() < SIGNIFICANCE
    for of, fill in ((significant, {}), (~significant, {"mfc": "white"})):
        axes.errorbar(
            table["difference"].to_numpy()[of],
            at[of],
            xerr=errors(table, "difference")[:, of],
            linestyle="none",
            **style,
            **fill,
        )


def errors(table: pl.DataFrame, column: str) -> np.ndarray:
    """Return the lengths of the error bars below and above the estimate, (2, rows)."""
    estimate = table[column].to_numpy()
    low, high = (table[f"{column}_{end}"].to_numpy() for end in ("low", "high"))
    return np.maximum(0, np.stack([estimate - low, high - estimate]).astype(float))


def apart(count: int, step: float, room: float) -> list[float]:
    """Return shifts of ``count`` things, ``step`` from each other, all within ``room``."""
    step = min(step, room / max(1, count))
    return [step * (number - (count - 1) / 2) for number in range(count)]


def smallest_gap(values: pl.Series) -> float:
    """Return the smallest distance of distinct values; infinite if there is one."""
    gaps = values.unique().sort().diff().drop_nulls()
    return float(gaps.min()) if len(gaps) else float("inf")


def row_height(rows: int, inches: float) -> float:
    """Return the height of a row: ``inches``, or less where the figure would have no end."""
    return min(inches, _MAX_HEIGHT / max(1, rows))


def row_font(height: float) -> float:
    """Return a font size that fits a row of so many inches."""
    return min(10.0, 0.75 * 72 * height)


def judges_legend(figure: Figure, judges: list[str], note: str = "") -> None:
    """Write whose the colours are, what filled markers say, and a ``note``."""
    handles = [
        Line2D([], [], linestyle="none", label=judge, **look(number))
        for number, judge in enumerate(judges)
    ]
    legend(figure, handles, FILLED + note)
