"""The figure of the experiment `seed_scope`, drawn from its table; nothing is computed here."""

import matplotlib.pyplot as plt
import polars as pl
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from refusal_stability.figures.style import apart, errors, legend, look, nothing
from refusal_stability.schemas.stages import POOLED

_WORDS = {
    "cell": "one seed for all prompts",
    "prompt": "a seed for each prompt",
    "unknown": "seeds not known",
}


def seed_scope(table: pl.DataFrame) -> Figure:
    """Inflation of the variance over seeds: a row a temperature and all, a colour an arm."""
    table = table.filter(pl.col("variance_inflation") > 0)
    if table.is_empty():
        return nothing("No prompt's refusal depends on the seed: nothing varies over seeds.")
    # The others are in the table.
    judge = table["judge"][0]
    table = table.filter(judge=judge)
    scopes = table["scope"].unique(maintain_order=True).to_list()
    arms = table.select("model", "seed_scope").unique(maintain_order=True).rows()
    figure, axes = plt.subplots(
        figsize=(5.6, 1.4 + 0.4 * max(2, len(scopes))), layout="constrained"
    )
    axes.axvline(1, color="black", linewidth=0.8)
    shifts = apart(len(arms), 0.2, 0.6)
    handles = []
    for number, (model, scope) in enumerate(arms):
        rows = table.filter(model=model)
        places = [scopes.index(one) + shifts[number] for one in rows["scope"]]
        style = look(number)
        axes.errorbar(
            rows["variance_inflation"],
            places,
            xerr=errors(rows, "variance_inflation"),
            linestyle="none",
            ms=5,
            capsize=2,
            **style,
        )
        label = f"{_WORDS[scope]} ({model})"
        handles.append(Line2D([], [], linestyle="none", ms=5, label=label, **style))
    names = ["together" if scope == POOLED else f"T = {scope}" for scope in scopes]
    axes.set_yticks(range(len(scopes)), names)
    axes.set_ylim(len(scopes) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("variance of the number of refusals, independent draws = 1")
    legend(figure, handles, f"under {judge}; 95% intervals over seeds")
    return figure
