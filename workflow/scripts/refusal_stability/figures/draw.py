"""Figures of one judge, drawn from the tables and from stability; nothing is computed here."""

from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from refusal_stability.figures import comparisons, sample_size, stability
from refusal_stability.figures.style import STYLE, Data, save

# What Data.tables must hold.
TABLES_DRAWN = (
    "models",
    "within_temperature",
    "categories",
    "sample_size",
    "thresholds",
    "model_pairs",
    "temperature_pairs",
    "judge_confusion",
)
FIGURES: dict[str, Callable[[Data], Figure]] = {
    "ssi_distribution": stability.ssi_distribution,
    "temperature": stability.temperature,
    "temperature_pairs": comparisons.temperature_pairs,
    "label_mix": stability.label_mix,
    "ssi_and_compliance": stability.ssi_and_compliance,
    "categories": stability.categories,
    "model_differences": comparisons.model_differences,
    "judge_confusion": comparisons.judge_confusion,
    "sample_size": sample_size.sample_size,
    "thresholds": sample_size.thresholds,
}


def draw_figures(data: Data, folder: Path) -> None:
    """Write every figure of :data:`FIGURES` into ``folder``, as SVG, PDF and PNG."""
    folder.mkdir(parents=True, exist_ok=True)
    with plt.rc_context(STYLE):
        for name, draw in FIGURES.items():
            save(draw(data), folder / name)
