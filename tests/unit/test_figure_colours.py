"""Colours of the figures, as eyes see them that tell few apart, and in grey."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from refusal_stability.figure_parts import LABEL_COLOURS, LABEL_HATCHES
from refusal_stability.labels import VALID_LABELS


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
