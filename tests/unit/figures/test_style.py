"""Colours of the figures, as eyes see them that tell few apart, and in grey; and of the page."""

import re
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from refusal_stability.core.labels import VALID_LABELS
from refusal_stability.figures.style import LABEL_COLOURS, LABEL_HATCHES


def lightness(colour: str, seen: np.ndarray) -> float:
    """CIE L* (0 black, 100 white) of a colour as eyes see it, by a matrix on linear RGB."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    y = float(np.clip(seen @ linear, 0, 1) @ [0.2126, 0.7152, 0.0722])
    return 116 * y ** (1 / 3) - 16 if y > 0.008856 else 903.3 * y


# Machado, Oliveira and Fernandes (2009), severity 1.
DEUTERANOPIA = [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]]
PROTANOPIA = [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]]


@pytest.mark.parametrize("seen", [np.eye(3), np.array(DEUTERANOPIA), np.array(PROTANOPIA)])
def test_labels_are_told_apart_without_colour(seen: np.ndarray) -> None:
    # From dark to light, 20 of 100 apart: a step of 10 is plain to see on paper.
    light = [lightness(LABEL_COLOURS[label], seen) for label in VALID_LABELS]
    assert np.diff(light).min() > 20
    assert len(set(LABEL_HATCHES.values())) == 3


def test_a_label_has_the_same_colour_in_the_figures_and_on_the_page() -> None:
    style = (Path(__file__).parents[3] / "resources/report/page.css").read_text(encoding="utf-8")
    # The first are those of the page by day, which the figures have too.
    by_day = style.split("@media", 1)[0]
    on_page = [re.search(f"--l{code}: (#[0-9a-f]{{6}});", by_day)[1] for code in range(3)]
    assert on_page == [LABEL_COLOURS[label].lower() for label in VALID_LABELS]
    # By night the darkest is lighter, to be seen on a dark ground; the others stay.
    by_night = style.split("prefers-color-scheme: dark", 1)[1].split("* {", 1)[0]
    assert "--l0:" in by_night
    assert "--l1:" not in by_night
    assert "--l2:" not in by_night
