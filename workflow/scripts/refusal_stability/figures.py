"""Figures of one judge, drawn from the tables and from stability; nothing is computed here."""

from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from refusal_stability import comparison_figures, sampling_figures, stability_figures
from refusal_stability.figure_parts import STYLE, Data, save

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
    "ssi_distribution": stability_figures.ssi_distribution,
    "temperature": stability_figures.temperature,
    "temperature_pairs": comparison_figures.temperature_pairs,
    "label_mix": stability_figures.label_mix,
    "ssi_and_compliance": stability_figures.ssi_and_compliance,
    "categories": stability_figures.categories,
    "model_differences": comparison_figures.model_differences,
    "judge_confusion": comparison_figures.judge_confusion,
    "sample_size": sampling_figures.sample_size,
    "thresholds": sampling_figures.thresholds,
}


def draw_figures(data: Data, folder: Path) -> None:
    """Write every figure of :data:`FIGURES` into ``folder``, as SVG, PDF and PNG."""
    folder.mkdir(parents=True, exist_ok=True)
    with plt.rc_context(STYLE):
        for name, draw in FIGURES.items():
            save(draw(data), folder / name)
