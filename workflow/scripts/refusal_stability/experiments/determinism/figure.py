"""The figure of the experiment `determinism`, drawn from its tables."""

import matplotlib.pyplot as plt
import polars as pl
from matplotlib.figure import Figure

from refusal_stability.figures.style import INTERVALS, errors, line_look, look, nothing

_SHARES = {
    "identical": "byte-identical replies",
    "flip_rate": "labels that flip",
}
# On the grid's line, and not crossed out by it.
_WORDS = {"ha": "center", "va": "center", "fontsize": 9, "backgroundcolor": "white"}


def determinism(table: pl.DataFrame, prompts: pl.DataFrame) -> Figure:
    """Shares of prompts, a row an arm; and whose replies differ by which token, a line an arm."""
    there = table.filter("available")
    if there.is_empty():
        return nothing("No way of running the engine is available here.")
    arms = table["arm"].to_list()
    figure, axes = plt.subplots(
        1, 3, figsize=(9.0, 1.6 + 0.35 * len(arms)), width_ratios=[1, 1, 1.3], layout="constrained"
    )
    # The last tick of a panel is not to touch the first of the next.
    figure.get_layout_engine().set(wspace=0.06)
    for panel, (column, words) in zip(axes, _SHARES.items(), strict=False):
        for place, row in enumerate(table.iter_slices(1)):
            if row[column][0] is not None:
                panel.errorbar(
                    row[column], [place], xerr=errors(row, column), capsize=2, **look(place)
                )
            elif not row["available"][0]:
                panel.text(0.5, place, "not available here", **_WORDS)
        panel.set_title(words, fontsize=10)
        panel.set_xlabel("share of prompts")
        panel.set_xlim(-0.03, 1.03)
        panel.set_yticks(range(len(arms)), arms if panel is axes[0] else [""] * len(arms))
        panel.set_ylim(len(arms) - 0.5, -0.5)
        panel.tick_params(axis="y", length=0)
    _parting(axes[2], table, prompts)
    figure.suptitle(
        f"{table['model'][0]} at T = 0, {there['n_passes'][0]} passes over {there['n'][0]} "
        f"prompts; labels by {table['judge'][0]}; {INTERVALS}",
        fontsize=9,
    )
    return figure


def _parting(panel: plt.Axes, table: pl.DataFrame, prompts: pl.DataFrame) -> None:
    panel.set_title("prompts whose replies differ", fontsize=10)
    for place, row in enumerate(table.iter_rows(named=True)):
        if not row["n_differing"]:
            continue
        tokens = prompts.filter(arm=row["arm"])["first_token"].sort().to_list()
        shares = [number / row["n"] for number in range(len(tokens) + 1)]
        # From nobody, before the first token.
        # A marker for each of many prompts would hide the line.
        look_of_arm = line_look(place) | {"ms": 4, "markevery": [-1]}
        panel.step([0, *tokens], shares, where="post", label=row["arm"], **look_of_arm)
    if prompts.is_empty():
        panel.text(
            0.5, 0.5, "no replies differ", ha="center", va="center", transform=panel.transAxes
        )
        panel.set_xticks([])
        panel.set_yticks([])
        return
    panel.set_xlabel("by token of the reply")
    panel.set_ylabel("share of prompts")
    panel.set_ylim(bottom=0)
    panel.legend(fontsize=8)
