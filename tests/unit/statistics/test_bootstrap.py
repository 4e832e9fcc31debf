"""The bootstrap over prompts: its resamples, written out, and its intervals."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from refusal_stability.statistics import bootstrap
from refusal_stability.statistics.bootstrap import (
    Resamples,
    interval,
    prompt_share_interval,
    rare_mean_interval,
    share_interval,
    wilson_interval,
)

NAN = math.nan


def mean_interval(values: np.ndarray, resamples: int = 200, seed: int = 1) -> tuple[float, float]:
    distribution = Resamples(len(values), resamples, seed).means(values)
    low, high = interval(distribution, (~np.isnan(values)).sum())
    return float(low), float(high)


def written_out(resamples: Resamples, values: np.ndarray) -> list[np.ndarray]:
    """Return the values of each resample, (..., as many as there are prompts)."""
    return [np.repeat(values, counts, axis=-1) for counts in resamples.counts]


def test_a_resample_draws_as_many_prompts_as_there_are() -> None:
    counts = Resamples(30, 500, 1).counts
    assert counts.shape == (500, 30)
    assert (counts.sum(axis=1) == 30).all()
    # A prompt is left out with chance (1 - 1/30)^30 = .3617; of 15,000, an error of .004.
    assert (counts == 0).mean() == pytest.approx((1 - 1 / 30) ** 30, abs=0.02)


@pytest.mark.parametrize("shape", [(9,), (2, 9), (2, 3, 9)])
def test_sums_and_means_are_those_of_resamples_written_out(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    values = rng.random(shape)
    resamples = Resamples(9, 40, 3)
    out = written_out(resamples, values)
    assert np.allclose(resamples.sums(values), [one.sum(axis=-1) for one in out])
    assert np.allclose(resamples.means(values), [one.mean(axis=-1) for one in out])
    values[..., ::2] = NAN
    out = written_out(resamples, values)
    known = [(~np.isnan(one)).sum(axis=-1) for one in out]
    sums = np.array([np.nansum(one, axis=-1) for one in out])
    expected = np.where(np.array(known) > 0, sums / np.maximum(known, 1), NAN)
    assert np.allclose(resamples.means(values), expected, equal_nan=True)


def test_some_of_the_prompts_are_those_of_each_resample() -> None:
    values = np.random.default_rng(0).random((2, 9))
    resamples = Resamples(9, 40, 3)
    of = np.array([0, 4, 5])
    masked = np.full(values.shape, NAN)
    masked[:, of] = values[:, of]
    # A resample may hold none of the three: no mean.
    assert np.allclose(resamples.means(values[:, of], of), resamples.means(masked), equal_nan=True)
    assert np.allclose(
        resamples.sums(values[:, of], of), resamples.sums(np.nan_to_num(masked, nan=0.0))
    )


def test_patterns_are_counted_in_each_resample() -> None:
    pattern = np.array([1, 0, -1, 1, 2, 1, -1, 0])
    resamples = Resamples(len(pattern), 30, 5)
    out = written_out(resamples, pattern)
    expected = [[(one == place).sum() for place in range(3)] for one in out]
    assert np.array_equal(resamples.pattern_counts(pattern), expected)


@pytest.mark.parametrize("limits", [(0, 10**9), (0, 0)])
def test_much_data_has_the_same_means(
    monkeypatch: pytest.MonkeyPatch, limits: tuple[int, int]
) -> None:
    values = np.random.default_rng(0).random((3, 50))
    values[0] = 0.95
    values[1, ::3] = NAN
    expected = Resamples(50, 100, 1).means(values)
    # 32 bits, kept or made block by block, of 700 numbers.
    monkeypatch.setattr(bootstrap, "_KEPT_64", limits[0])
    monkeypatch.setattr(bootstrap, "_KEPT_32", limits[1])
    resamples = Resamples(50, 100, 1)
    _ = resamples.counts
    monkeypatch.setattr(bootstrap, "_BLOCK", 700)
    found = resamples.means(values)
    assert np.allclose(found, expected, atol=1e-6)
    # 32 bits do not hold .95, and still the mean of nothing else is .95.
    assert (found[:, 0] == 0.95).all()


@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("n_prompts", [2, 60])
def test_constant_data_have_that_constant_for_an_interval(value: float, n_prompts: int) -> None:
    assert mean_interval(np.full(n_prompts, value)) == (value, value)


@pytest.mark.parametrize("values", [[0.75], [0.75, NAN]])
def test_fewer_than_two_prompts_have_no_interval(values: list[float]) -> None:
    assert all(math.isnan(bound) for bound in mean_interval(np.array(values)))


def test_two_prompts_by_hand() -> None:
    # A resample of {0, 1} has the mean 0, 0.5 or 1 with chances 1/4, 1/2, 1/4: the 2.5% and
    # 97.5% points are 0 and 1.
    assert mean_interval(np.array([0.0, 1.0]), 1000) == (0.0, 1.0)


def test_percentiles_by_hand() -> None:
    # 0, 1, ... 40: of 41 values the 2.5% point is 40 * .025 = 1, the 97.5% point 39. Undefined
    # resamples are left out; a statistic that is never defined has no interval.
    whole = np.arange(41.0)
    some = np.concatenate([whole, [NAN] * 9])
    never = np.full(50, NAN)
    low, high = interval(whole[::-1], np.array(10))
    assert (low, high) == pytest.approx((1, 39))
    low, high = interval(np.stack([some, never], axis=1), np.array([10, 10]))
    assert low == pytest.approx([1, NAN], nan_ok=True)
    assert high == pytest.approx([39, NAN], nan_ok=True)


def test_equal_seeds_give_equal_intervals() -> None:
    values = np.random.default_rng(0).random(50)
    assert mean_interval(values, seed=1) == mean_interval(values, seed=1)
    assert mean_interval(values, seed=1) != mean_interval(values, seed=2)


def test_the_global_random_state_is_neither_used_nor_changed() -> None:
    before = np.random.get_state(legacy=False)["state"]
    mean_interval(np.random.default_rng(0).random(50))
    after = np.random.get_state(legacy=False)["state"]
    assert np.array_equal(before["key"], after["key"])
    assert before["pos"] == after["pos"]


def test_the_interval_of_a_mean_is_near_the_normal_one() -> None:
    values = np.random.default_rng(0).random(400)
    half_width = 1.96 * values.std() / math.sqrt(400)  # about .028
    expected = (values.mean() - half_width, values.mean() + half_width)
    assert mean_interval(values, 2000) == pytest.approx(expected, abs=0.004)


def samples(rng: np.random.Generator, n_prompts: int, n_samples: int) -> np.ndarray:
    """0 or 1 for each (prompt, sample); each prompt has a chance of its own, 1/2 on average."""
    chances = rng.beta(0.5, 0.5, size=n_prompts)
    return (rng.random((n_prompts, n_samples)) < chances[:, None]).astype(float)


def test_intervals_cover_the_truth_as_often_as_they_should() -> None:
    rng = np.random.default_rng(7)
    covered = 0
    for _ in range(200):
        low, high = mean_interval(samples(rng, 40, 5).mean(axis=1))
        covered += low <= 0.5 <= high
    # 95% of 200 is 190, with a standard deviation of 3; intervals that took the 5 samples of a
    # prompt for independent ones would cover in about 65%.
    assert 0.90 <= covered / 200 <= 0.99


def test_more_prompts_do_shrink_the_interval() -> None:
    values = samples(np.random.default_rng(3), 30, 5).mean(axis=1)
    low, high = mean_interval(values)
    narrow_low, narrow_high = mean_interval(np.tile(values, 4))
    assert narrow_high - narrow_low < 0.7 * (high - low)


def of_prompts(values: np.ndarray) -> tuple[float, float]:
    low, high = prompt_share_interval(values)
    return float(low), float(high)


def of_share(count: int, total: int) -> tuple[float, float]:
    return of_prompts((np.arange(total) < count).astype(float))


@pytest.mark.parametrize(
    ("count", "total", "low", "high"),
    [
        # z^2 = 3.841459. 0 of 10: 0 and z^2 / (n + z^2) = 3.841459 / 13.841459
        (0, 10, 0.0, 0.2775328),
        # 10 of 10: n / (n + z^2) and 1
        (10, 10, 0.7224672, 1.0),
        # 1 of 1: 1 / 4.841459 and 1
        (1, 1, 0.2065493, 1.0),
        # 5 of 20: (.25 + z^2/40) / (1 + z^2/20) = .290281, less and more than
        # sqrt(z^2 .25 .75 / 20 + (z^2/40)^2) / (1 + z^2/20) = .178420.
        (5, 20, 0.1118617, 0.4687009),
    ],
)
def test_shares_of_one_model_have_wilsons_interval(
    count: int, total: int, low: float, high: float
) -> None:
    assert of_share(count, total) == pytest.approx((low, high), abs=5e-7)
    assert of_share(count, total) == pytest.approx(
        proportion_confint(count, total, method="wilson")
    )


@given(st.integers(1, 900), st.integers(0, 900))
def test_one_more_prompt_that_counts_raises_both_bounds(total: int, count: int) -> None:
    count = min(count, total - 1)
    fewer, more = (
        wilson_interval(np.array((count + one) / total), np.array(total)) for one in (0, 1)
    )
    assert fewer[0] < more[0]
    assert fewer[1] < more[1]


@pytest.mark.parametrize("n_models", [2, 4])
@pytest.mark.parametrize("n", [20, 60, 876])
def test_one_flip_of_one_of_several_models_leaves_room_for_as_many_as_none(
    n: int, n_models: int
) -> None:
    none, one = np.zeros(n), np.zeros(n)
    one[0] = 1 / n_models
    assert of_prompts(none)[1] <= of_prompts(one)[1]
    assert of_prompts(1 - one)[0] <= of_prompts(1 - none)[0]


@pytest.mark.parametrize("n_models", [2, 4])
def test_one_more_flip_leaves_no_less_room(n_models: int) -> None:
    """From one flip of one model on, prompt by prompt and model by model."""
    values = np.zeros(100)
    values[0] = 1
    highest = of_prompts(values)[1]
    for prompt in range(1, 60):
        for _ in range(n_models):
            values[prompt] += 1 / n_models
            # Values of other sizes than before may take back a little.
            assert of_prompts(values)[1] > 0.96 * highest
            highest = max(highest, of_prompts(values)[1])
    assert highest > 0.6


def test_means_over_models_by_hand() -> None:
    # Ten prompts, each flipped by half of the models: mean 1/2, mean square 1/4, so c = 1/2 and the
    # variance c mu - mu^2 is 0 at 1/2. (.5 - mu)^2 = .3841459 (mu / 2 - mu^2): mu = .5 is one end,
    # and (.5 + .3841459 / 4) * 2 / 1.3841459 - .5 = .361234 the other.
    assert of_prompts(np.full(10, 0.5)) == pytest.approx((0.361234, 0.5), abs=1e-6)


@pytest.mark.parametrize(("ones", "n"), [(0, 20), (3, 20), (20, 20)])
def test_a_rare_mean_of_whole_values_has_wilsons_interval(ones: int, n: int) -> None:
    found = rare_mean_interval(np.repeat([1.0, 0.0], [ones, n - ones]))
    np.testing.assert_allclose(found, wilson_interval(np.array(ones / n), np.array(n)), atol=1e-9)


def test_a_mean_that_is_0_may_be_that_of_small_values() -> None:
    # Of 20 values none, each 1/4 where there is one: z^2 / 20 / 4 / (1 + z^2 / 20).
    reach = 1.959963984540054**2 / 20
    assert rare_mean_interval(np.zeros(20), 0.25) == pytest.approx((0, reach / 4 / (1 + reach)))


@pytest.mark.parametrize("chance", [0.03, 0.2, 0.5, 0.9])
def test_intervals_of_means_over_models_cover_the_truth(chance: float) -> None:
    rng = np.random.default_rng(5)
    covered = 0
    for _ in range(400):
        # Three models that share half of their flips.
        common = rng.random(60) < chance
        own = rng.random((3, 60)) < chance
        flips = np.where(rng.random((3, 60)) < 0.5, common, own)
        low, high = of_prompts(flips.mean(axis=0))
        covered += low <= chance <= high
    # 95% of 400 is 380, with a standard deviation of 4.4.
    assert covered / 400 >= 0.925


def test_absent_prompts_do_not_count_for_a_share() -> None:
    values = np.array([1.0, NAN, 0.0, NAN, 0.0])
    assert of_prompts(values) == pytest.approx(proportion_confint(1, 3, method="wilson"))
    assert np.isnan(of_prompts(np.full(3, NAN))).all()


@pytest.mark.parametrize(("share", "low", "high"), [(0.0, 0.0, 0.2775328), (1.0, 0.7224672, 1.0)])
def test_shares_of_no_response_and_all_have_wilsons_interval(
    share: float, low: float, high: float
) -> None:
    bounds = share_interval(np.full((50, 1), share), np.array([share]), np.array([10]))
    assert np.ravel(bounds) == pytest.approx((low, high), abs=5e-8)


def test_other_shares_of_responses_have_the_bootstraps_interval() -> None:
    distribution = Resamples(20, 200, 1).means(np.arange(20) / 20)
    bounds = share_interval(distribution, np.array(0.475), np.array(20))
    assert bounds == interval(distribution, np.array(20))


def test_a_share_of_nothing_has_no_interval() -> None:
    low, high = share_interval(np.full((50, 1), NAN), np.array([NAN]), np.array([0]))
    assert np.isnan([low, high]).all()


def test_a_share_that_rounding_keeps_from_one_is_one() -> None:
    # As an expectation over draws may be.
    low, high = share_interval(np.full((50, 1), 1 - 1e-15), np.array([1 - 1e-15]), np.array([10]))
    assert (low.item(), high.item()) == pytest.approx((0.7224672, 1.0), abs=5e-8)


@given(st.lists(st.floats(min_value=0, max_value=1), min_size=2, max_size=20))
def test_means_lie_between_the_values(values: list[float]) -> None:
    means = Resamples(len(values), 20, 1).means(np.array(values))
    assert (min(values) <= means).all()
    assert (means <= max(values)).all()
