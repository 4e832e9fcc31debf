import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from refusal_stability.intervals import bootstrap_interval, mean_interval, share_interval

RESAMPLES = 200


@pytest.mark.parametrize(
    ("count", "total", "low", "high"),
    [
        # z = 1.959964, z^2 = 3.841459; the bounds are
        # (p + z^2/2n -+ z sqrt(p (1 - p)/n + z^2/4n^2)) / (1 + z^2/n).
        # 5 of 10: centre .5, half width 1.959964 sqrt(.025 + .0096036) / 1.3841459 = .2634058
        (5, 10, 0.2365931, 0.7634069),
        # 0 of 10: 0 and z^2 / (n + z^2) = 3.841459 / 13.841459
        (0, 10, 0.0, 0.2775328),
        # 10 of 10: n / (n + z^2) and 1
        (10, 10, 0.7224672, 1.0),
        # 1 of 1: 1 / 4.841459 and 1
        (1, 1, 0.2065493, 1.0),
        # Newcombe (1998), Statistics in Medicine 17, table I: 81 of 263, 15 of 148, 1 of 29
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_interval(count: int, total: int, low: float, high: float) -> None:
    digits = 5e-8 if total < 29 else 5e-5
    assert share_interval(count, total) == pytest.approx((low, high), abs=digits)


def test_share_of_nothing_has_no_interval() -> None:
    assert all(math.isnan(bound) for bound in share_interval(0, 0))


@given(st.integers(min_value=1, max_value=3000), st.data())
def test_wilson_interval_agrees_with_statsmodels_and_holds_the_share(
    total: int, data: st.DataObject
) -> None:
    count = data.draw(st.integers(min_value=0, max_value=total))
    low, high = share_interval(count, total)
    assert (low, high) == pytest.approx(proportion_confint(count, total, method="wilson"), abs=1e-9)
    assert 0 <= low <= count / total <= high <= 1


@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("n_prompts", [2, 60])
def test_constant_data_have_that_constant_for_an_interval(value: float, n_prompts: int) -> None:
    interval = mean_interval(np.full(n_prompts, value), RESAMPLES, seed=1)
    assert interval == pytest.approx((value, value), abs=1e-12)
    assert all(0 <= bound <= 1 for bound in interval)


@pytest.mark.parametrize("values", [[], [0.75]])
def test_fewer_than_two_prompts_have_no_interval(values: list[float]) -> None:
    assert all(math.isnan(bound) for bound in mean_interval(np.array(values), RESAMPLES, seed=1))


def test_two_prompts_by_hand() -> None:
    # A resample of {0, 1} has the mean 0, 0.5 or 1 with chances 1/4, 1/2, 1/4: the 2.5% and
    # 97.5% points are 0 and 1.
    assert mean_interval(np.array([0.0, 1.0]), 1000, seed=1) == (0.0, 1.0)


def test_an_undefined_statistic_has_no_interval() -> None:
    def undefined(sample: np.ndarray) -> np.ndarray:
        return np.full(sample.shape[:-2], np.nan)

    interval = bootstrap_interval(np.ones((5, 1)), undefined, RESAMPLES, seed=1)
    assert all(math.isnan(bound) for bound in interval)


def test_equal_seeds_give_equal_intervals() -> None:
    values = np.random.default_rng(0).random(50)
    assert mean_interval(values, RESAMPLES, seed=1) == mean_interval(values, RESAMPLES, seed=1)
    assert mean_interval(values, RESAMPLES, seed=1) != mean_interval(values, RESAMPLES, seed=2)


def test_the_global_random_state_is_neither_used_nor_changed() -> None:
    values = np.random.default_rng(0).random(50)
    before = np.random.get_state(legacy=False)["state"]
    mean_interval(values, RESAMPLES, seed=1)
    after = np.random.get_state(legacy=False)["state"]
    assert np.array_equal(before["key"], after["key"])
    assert before["pos"] == after["pos"]


def test_the_interval_of_a_mean_is_near_the_normal_one() -> None:
    values = np.random.default_rng(0).random(400)
    half_width = 1.96 * values.std() / math.sqrt(400)  # about .028
    expected = (values.mean() - half_width, values.mean() + half_width)
    assert mean_interval(values, 2000, seed=1) == pytest.approx(expected, abs=0.004)


def samples(rng: np.random.Generator, n_prompts: int, n_samples: int) -> np.ndarray:
    """0 or 1 for each (prompt, sample); each prompt has a chance of its own, 1/2 on average."""
    chances = rng.beta(0.5, 0.5, size=n_prompts)
    return (rng.random((n_prompts, n_samples)) < chances[:, None]).astype(float)


def test_intervals_cover_the_truth_as_often_as_they_should() -> None:
    rng = np.random.default_rng(7)
    covered = 0
    for _ in range(200):
        low, high = mean_interval(samples(rng, 40, 5).mean(axis=1), RESAMPLES, seed=1)
        covered += low <= 0.5 <= high
    # 95% of 200 is 190, with a standard deviation of 3; intervals that took the 5 samples of a
    # prompt for independent ones would cover in about 65%.
    assert 0.90 <= covered / 200 <= 0.99


def test_the_same_samples_twice_do_not_shrink_the_interval() -> None:
    once = samples(np.random.default_rng(3), 30, 5)
    twice = np.hstack([once, once])

    def share(sample: np.ndarray) -> np.ndarray:
        return sample.mean(axis=(-2, -1))

    assert bootstrap_interval(twice, share, RESAMPLES, seed=1) == pytest.approx(
        bootstrap_interval(once, share, RESAMPLES, seed=1), abs=1e-12
    )


def test_more_prompts_do_shrink_the_interval() -> None:
    values = samples(np.random.default_rng(3), 30, 5).mean(axis=1)
    low, high = mean_interval(values, RESAMPLES, seed=1)
    narrow_low, narrow_high = mean_interval(np.tile(values, 4), RESAMPLES, seed=1)
    assert narrow_high - narrow_low < 0.7 * (high - low)
