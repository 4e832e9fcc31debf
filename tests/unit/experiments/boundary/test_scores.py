"""AUC and slope, against their definitions, on the data and on every resample."""

import numpy as np
import pytest

from refusal_stability.experiments.boundary.scores import auc, slope
from refusal_stability.statistics.bootstrap import Resamples


def area(score: np.ndarray, happens: np.ndarray) -> float:
    """The share of pairs in which it happens to the higher score; a half of equal ones."""
    difference = score[happens == 1][:, None] - score[happens == 0][None]
    return ((difference > 0) + 0.5 * (difference == 0)).mean() if difference.size else np.nan


def test_by_hand_and_by_resample() -> None:
    rng = np.random.default_rng(0)
    score, happens = rng.integers(0, 6, 40) / 5, rng.integers(0, 2, 40).astype(float)
    score[3], happens[7] = np.nan, np.nan
    there = ~np.isnan(score) & ~np.isnan(happens)
    resamples = Resamples(40, 60, 1)
    drawn = [np.repeat(np.flatnonzero(there), counts[there]) for counts in resamples.counts]
    value, low, high = auc(score, happens, resamples)
    areas = [area(score[of], happens[of]) for of in drawn]
    assert value == pytest.approx(area(score[there], happens[there]))
    assert (low, high) == pytest.approx(tuple(np.quantile(areas, [0.025, 0.975])))
    value, low, high = slope(score, happens, resamples)
    slopes = [np.polyfit(score[of], happens[of], 1)[0] for of in drawn]
    assert value == pytest.approx(np.polyfit(score[there], happens[there], 1)[0])
    assert (low, high) == pytest.approx(tuple(np.quantile(slopes, [0.025, 0.975])))


def test_what_is_constant_has_none() -> None:
    resamples, score = Resamples(4, 20, 1), np.array([0.1, 0.2, 0.3, 0.4])
    for happens in (np.zeros(4), np.ones(4), np.full(4, np.nan)):
        assert np.isnan(auc(score, happens, resamples)).all()
    assert np.isnan(slope(np.full(4, 0.5), np.array([0.0, 1, 0, 1]), resamples)).all()
    assert auc(score, np.array([0.0, 0, 1, 1]), resamples)[0] == 1
