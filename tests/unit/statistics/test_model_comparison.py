"""Models against each other, and SSI against compliance."""

import math

import numpy as np
import polars as pl
import pytest
from scipy import stats

from helpers.label_grids import Letters, assert_row, row, tables_of, verdicts_of_codes
from refusal_stability.statistics.bootstrap import Resamples
from refusal_stability.statistics.hypothesis_tests import holm
from refusal_stability.statistics.model_comparison import spearman

# Of four samples, SSI of m: 1, 3/4, 1/2; of n: 1, 1, 3/4. Refusals of m: 1, 3/4, 1/2; n: 1, 1, 1/4.
LABELS: Letters = {
    ("j", "m"): ["RRRR", "RRRP", "RRCC"],
    ("j", "n"): ["RRRR", "RRRR", "RCCC"],
    ("j", "o"): ["RRRP", "RRRP", "RCCC"],
}


def test_model_pairs_by_hand() -> None:
    table = tables_of(LABELS)["model_pairs"]
    ssi = table.filter(measure="mean_ssi")
    assert ssi.select("model_a", "model_b").rows() == [("m", "n"), ("m", "o"), ("n", "o")]
    # 0, -1/4, -1/4; 1/4, 0, -1/4; 1/4, 1/4, 0
    expected = [-1 / 6, 0, 1 / 6]
    assert ssi["difference"].to_list() == pytest.approx(expected)
    # Two differences of one sign have p 2/4; of opposite signs, 1.
    p = [1 / 2, 1, 1 / 2]
    assert ssi["p"].to_list() == pytest.approx(p)
    assert ssi["p_holm"].to_list() == pytest.approx(holm(np.array(p)))
    # Flips 0 1 1, 0 0 1 and 1 1 1: one of one discordant prompts, p 1; two of two, p 2/4.
    flips = table.filter(measure="flip_rate")
    assert flips["difference"].to_list() == pytest.approx([1 / 3, -1 / 3, -2 / 3])
    assert flips["p"].to_list() == pytest.approx([1, 1, 1 / 2])
    refusals = table.filter(measure="refusal_rate")
    # 0, -1/4, 1/4; 1/4, 0, 1/4; 1/4, 1/4, 0
    assert refusals["difference"].to_list() == pytest.approx([0, 1 / 6, 1 / 6])


def test_a_model_against_itself_does_not_differ() -> None:
    one = np.random.default_rng(0).choice(3, size=(1, 1, 30, 2, 5))
    table = tables_of(verdicts_of_codes(np.concatenate([one, one], axis=1)))["model_pairs"]
    for name in ("difference", "difference_low", "difference_high"):
        assert table[name].to_list() == [0, 0, 0]
    assert table["p"].to_list() == [1, 1, 1]


def test_models_are_compared_on_the_prompts_that_both_have() -> None:
    labels: Letters = {("j", "m"): ["RP", "RR", "UU"], ("j", "n"): ["RR", "..", "RP"]}
    table = tables_of(labels)["model_pairs"]
    assert_row(row(table, measure="mean_ssi"), {"n": 1, "n_invalid": 2, "difference": -0.5})


def test_models_without_a_common_prompt_are_not_compared() -> None:
    labels: Letters = {("j", "m"): ["RP", ".."], ("j", "n"): ["..", "RP"]}
    table = tables_of(labels)["model_pairs"]
    for measure in ("mean_ssi", "flip_rate", "refusal_rate"):
        nothing = {"n": 0, "difference": None, "difference_low": None, "p": None, "p_holm": None}
        assert_row(row(table, measure=measure), nothing)


def test_one_model_has_no_pair() -> None:
    assert tables_of({("j", "m"): ["RP"]})["model_pairs"].is_empty()


def random_points(seed: int, n: int = 30) -> tuple[np.ndarray, np.ndarray]:
    """Return values with many ties, as SSI and compliance rates have."""
    rng = np.random.default_rng(seed)
    x = rng.integers(2, 6, size=n) / 5
    return x, np.round(1 - x + rng.integers(0, 3, size=n) / 5, 12)


@pytest.mark.parametrize("seed", range(5))
def test_spearman_and_its_bootstrap_are_scipys(seed: int) -> None:
    x, y = random_points(seed)
    resamples = Resamples(len(x), 60, seed)
    value, low, high = spearman(x, y, np.ones(len(x), dtype=bool), resamples)
    assert value == pytest.approx(stats.spearmanr(x, y).statistic)
    drawn = [
        stats.spearmanr(np.repeat(x, counts), np.repeat(y, counts)).statistic
        for counts in resamples.counts
    ]
    assert (low, high) == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])))


def test_spearman_over_some_prompts() -> None:
    x, y = random_points(1)
    of = y > 0.2
    resamples = Resamples(len(x), 60, 1)
    value, low, high = spearman(x, y, of, resamples)
    assert value == pytest.approx(stats.spearmanr(x[of], y[of]).statistic)
    drawn = [
        stats.spearmanr(np.repeat(x[of], counts), np.repeat(y[of], counts)).statistic
        for counts in resamples.counts[:, of]
    ]
    assert (low, high) == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])))


def test_spearman_by_hand() -> None:
    # Ranks 1.5 1.5 3 4 and 4 3 1.5 1.5: deviations -1 -1 .5 1.5 and 1.5 .5 -1 -1. Products sum
    # to -1.5 - .5 - .5 - 1.5 = -4, squares to 4.5 and 4.5.
    x, y = np.array([0.5, 0.5, 0.6, 1.0]), np.array([0.9, 0.5, 0.0, 0.0])
    value, _, _ = spearman(x, y, np.ones(4, dtype=bool), Resamples(4, 50, 1))
    assert value == pytest.approx(-4 / 4.5)


@pytest.mark.parametrize(
    ("x", "y"),
    [([1.0, 1.0, 1.0], [0.0, 0.5, 1.0]), ([0.5], [0.5]), ([], [])],
    ids=["constant", "one prompt", "none"],
)
def test_constant_values_have_no_correlation(x: list[float], y: list[float]) -> None:
    of = np.ones(len(x), dtype=bool)
    found = spearman(np.array(x), np.array(y), of, Resamples(len(x), 50, 1))
    assert all(math.isnan(value) for value in found)


def test_correlations_by_hand() -> None:
    # SSI 1, 3/4, 1/2, 3/4 and compliance 0, 0, 1/2, 3/4; of those with any COMPLY two are left.
    labels: Letters = {("j", "m"): ["RRRR", "RRRP", "RRCC", "RCCC", "UUUU"]}
    table: pl.DataFrame = tables_of(labels)["correlations"]
    expected = stats.spearmanr([1, 0.75, 0.5, 0.75], [0, 0, 0.5, 0.75]).statistic
    assert_row(row(table, prompts="all"), {"n": 4, "n_invalid": 4, "spearman": expected})
    assert_row(row(table, prompts="any_comply"), {"n": 2, "n_invalid": 0, "spearman": 1})
