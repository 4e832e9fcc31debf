"""Tests whose blocks are prompts, against scipy, statsmodels and permutations."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar as mcnemar_of_statsmodels
from statsmodels.stats.multitest import multipletests

from refusal_stability.statistics import hypothesis_tests
from refusal_stability.statistics.hypothesis_tests import friedman, holm, mcnemar, page, signed_rank

NAN = math.nan


@pytest.fixture
def approximate(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if there were many more prompts that differ."""
    monkeypatch.setattr(hypothesis_tests, "EXACT_DIFFERENCES", 0)
    monkeypatch.setattr(hypothesis_tests, "EXACT_BLOCKS", 0)


def with_ties(seed: int, n: int = 12, k: int = 4) -> np.ndarray:
    """SSI of five samples: few values, so that most blocks have ties."""
    return np.random.default_rng(seed).integers(2, 6, size=(n, k)) / 5


@pytest.mark.usefixtures("approximate")
@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("k", [3, 4, 6])
def test_friedman_agrees_with_scipy(seed: int, k: int) -> None:
    blocks = with_ties(seed, k=k)
    expected = stats.friedmanchisquare(*blocks.T)
    assert friedman(blocks) == pytest.approx((expected.statistic, expected.pvalue))


def test_friedman_by_hand() -> None:
    # Ranks 3 2 1 and 3 1.5 1.5. Their sums 6, 3.5, 2.5 lie 2, -.5, -1.5 from the mean 4: squares
    # 4 + .25 + 2.25 = 6.5. Squares within blocks: 1 + 0 + 1 and 1 + .25 + .25, 3.5 in all.
    # chi2 = (k - 1) 6.5 / 3.5 = 13 / 3.5. Of the 6 orders of the first block and 3 of the second,
    # 18 pairs, the squares are as large where the first's best column is the second's: 6 of 18.
    chi2, p = friedman(np.array([[0.9, 0.8, 0.7], [1.0, 0.6, 0.6]]))
    assert chi2 == pytest.approx(13 / 3.5)
    assert p == pytest.approx(6 / 18)


@pytest.mark.usefixtures("approximate")
def test_friedman_of_many_blocks_is_chi_squared_by_hand() -> None:
    # p of 2 degrees of freedom is exp(-chi2 / 2).
    _, p = friedman(np.array([[0.9, 0.8, 0.7], [1.0, 0.6, 0.6]]))
    assert p == pytest.approx(math.exp(-13 / 7))


def test_friedman_of_two_columns_is_the_sign_test() -> None:
    # 7 blocks up, 3 down, 5 tied: chi2 = (7 - 3)^2 / (7 + 3). p of 10 throws of a coin:
    # 2 (1 + 10 + 45 + 120) / 1024.
    blocks = np.array([[0.6, 0.8]] * 7 + [[0.8, 0.6]] * 3 + [[1.0, 1.0]] * 5)
    chi2, p = friedman(blocks)
    assert chi2 == pytest.approx(16 / 10)
    assert p == pytest.approx(2 * 176 / 1024)


@pytest.mark.parametrize(("n", "p"), [(1, 1), (2, 1 / 2), (4, 1 / 8), (5, 1 / 16), (8, 1 / 128)])
@pytest.mark.parametrize("tied", [0, 56])
def test_few_prompts_that_all_fall_are_told_by_their_number(n: int, p: float, tied: int) -> None:
    """All signs alike in 2 of 2^n choices; prompts without a difference say nothing."""
    fall = np.array([[1.0, 0.8]] * n + [[0.9, 0.9]] * tied)
    assert signed_rank(fall[:, 0] - fall[:, 1]) == pytest.approx(p)
    assert friedman(fall)[1] == pytest.approx(p)
    assert page(fall)[1] == pytest.approx(p / 2)
    assert page(fall[:, ::-1])[1] == pytest.approx(1)


def orders_of(blocks: np.ndarray) -> list[np.ndarray]:
    """All orders of all blocks, written out: the ranks of each."""
    ranks = stats.rankdata(blocks, axis=1)
    return [np.array(of) for of in itertools.product(*map(itertools.permutations, ranks))]


@pytest.mark.parametrize("seed", range(12))
def test_few_blocks_have_the_share_of_all_their_orders_for_p(seed: int) -> None:
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 4, size=(rng.integers(1, 4), rng.integers(3, 5))) / 5
    # One block at least is not tied.
    blocks[0, 0] = 1
    ranks, predicted = stats.rankdata(blocks, axis=1), np.arange(blocks.shape[1], 0, -1)
    middle = (blocks.shape[1] + 1) / 2

    def squares(of: np.ndarray) -> float:
        return ((of - middle).sum(axis=0) ** 2).sum()

    every = orders_of(blocks)
    larger = np.mean([squares(of) >= squares(ranks) - 1e-9 for of in every])
    falls = np.mean([(of @ predicted).sum() >= (ranks @ predicted).sum() - 1e-9 for of in every])
    assert friedman(blocks)[1] == pytest.approx(larger)
    assert page(blocks)[1] == pytest.approx(falls)


@pytest.mark.parametrize("seed", range(12))
def test_few_differences_have_the_share_of_all_their_signs_for_p(seed: int) -> None:
    rng = np.random.default_rng(seed)
    differences = rng.integers(-3, 4, size=9) / 5
    differences[0] = 0.6
    ranks = stats.rankdata(np.abs(differences[differences != 0]))
    middle = ranks.sum() / 2
    found = abs(ranks[differences[differences != 0] > 0].sum() - middle)
    signs = itertools.product([0, 1], repeat=len(ranks))
    away = np.array([abs(ranks @ np.array(sign) - middle) for sign in signs])
    assert signed_rank(differences) == pytest.approx(np.mean(away >= found - 1e-9))


@pytest.mark.parametrize("seed", range(3))
def test_exact_and_approximate_p_agree_for_many_prompts(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks = with_ties(seed, n=190, k=4)
    exact = signed_rank(blocks[:, 0] - blocks[:, 1]), page(blocks)[1]
    monkeypatch.setattr(hypothesis_tests, "EXACT_DIFFERENCES", 0)
    monkeypatch.setattr(hypothesis_tests, "EXACT_BLOCKS", 0)
    assert exact == pytest.approx(
        (signed_rank(blocks[:, 0] - blocks[:, 1]), page(blocks)[1]), abs=0.01
    )


@pytest.mark.parametrize("k", [5, 7, 9, 12])
@pytest.mark.parametrize("n", [1, 2, 3])
def test_few_prompts_that_fall_at_the_last_of_many_temperatures(n: int, k: int) -> None:
    """One of k columns is lower: it is the same one in n blocks in k of k^n orders."""
    blocks = np.full((n + 20, k), 0.9)
    blocks[:n, -1] = 0.8
    assert friedman(blocks)[1] == pytest.approx(k / k**n)
    assert page(blocks)[1] == pytest.approx(1 / k**n)


def test_signed_rank_without_ties_agrees_with_scipy() -> None:
    differences = np.random.default_rng(0).normal(0.1, 1, size=30)
    expected = stats.wilcoxon(differences, method="exact").pvalue
    assert signed_rank(differences) == pytest.approx(expected)


def page_by_permutation(blocks: np.ndarray) -> float:
    """Return z of Page's L from its mean and variance over all orders of each block."""
    predicted = range(blocks.shape[1], 0, -1)
    ranks = stats.rankdata(blocks, axis=1)
    difference, variance = 0.0, 0.0
    for block in ranks:
        every = [
            sum(a * b for a, b in zip(predicted, order, strict=True))
            for order in itertools.permutations(block)
        ]
        difference += float(block @ np.array(predicted)) - np.mean(every)
        variance += np.var(every)
    return difference / math.sqrt(variance)


@pytest.mark.usefixtures("approximate")
@pytest.mark.parametrize("seed", range(10))
def test_page_has_the_mean_and_variance_of_all_permutations(seed: int) -> None:
    blocks = with_ties(seed)
    z, p = page(blocks)
    assert z == pytest.approx(page_by_permutation(blocks))
    assert p == pytest.approx(stats.norm.sf(z))


@pytest.mark.parametrize("seed", range(5))
def test_page_agrees_with_scipy_without_ties(seed: int) -> None:
    blocks = np.random.default_rng(seed).random((30, 4))
    # scipy predicts that the columns ascend.
    expected = stats.page_trend_test(blocks[:, ::-1], method="exact")
    assert page(blocks)[1] == pytest.approx(expected.pvalue)


def test_page_is_one_sided_for_a_fall() -> None:
    falling = np.tile([1.0, 0.8, 0.6, 0.4], (10, 1))
    # Each block gives 5 of covariance, 10 in variance 5 * 5 / 3 each: 50 / sqrt(250 / 3).
    assert page(falling)[0] == pytest.approx(50 / math.sqrt(250 / 3))
    assert page(falling)[1] < 1e-6
    assert page(falling[:, ::-1])[1] > 1 - 1e-6


@pytest.mark.parametrize("test", [friedman, page])
def test_tied_blocks_tell_nothing(test: type[friedman]) -> None:
    assert all(math.isnan(value) for value in test(np.full((5, 4), 0.8)))
    # Equal but for their last digit, as means over models are.
    last = np.array([[0.1 + 0.2, 0.3], [0.3, 0.1 + 0.2]])
    assert all(math.isnan(value) for value in test(last))


@pytest.mark.usefixtures("approximate")
@pytest.mark.parametrize("seed", range(5))
def test_signed_rank_agrees_with_scipy(seed: int) -> None:
    differences = np.random.default_rng(seed).integers(-3, 5, size=40) / 5
    expected = stats.wilcoxon(differences[differences != 0], method="asymptotic").pvalue
    assert signed_rank(differences) == pytest.approx(expected)
    assert signed_rank(np.append(differences, [NAN, 0, 1e-17])) == pytest.approx(expected)


def test_signed_rank_by_hand() -> None:
    # 1, 2, 3 and -4: the positive ranks sum to 6, 1 from their mean 4 * 5 / 4 = 5. Of 16 choices of
    # signs only the two with a sum of 5 ({1, 4} and {2, 3}) lie nearer.
    assert signed_rank(np.array([0.1, 0.2, 0.3, -0.4])) == pytest.approx(14 / 16)


@pytest.mark.usefixtures("approximate")
def test_signed_rank_of_many_by_hand() -> None:
    # The sum has a variance of 4 * 5 * 9 / 24 = 7.5.
    expected = 2 * stats.norm.sf(1 / math.sqrt(7.5))
    assert signed_rank(np.array([0.1, 0.2, 0.3, -0.4])) == pytest.approx(expected)


@pytest.mark.parametrize("differences", [[0.0, 0.0], [0.1 + 0.2 - 0.3], [NAN, 0.0]])
def test_no_difference_is_no_evidence(differences: list[float]) -> None:
    assert signed_rank(np.array(differences)) == 1


@pytest.mark.parametrize("differences", [[], [NAN, NAN]])
def test_no_pair_is_no_test(differences: list[float]) -> None:
    assert math.isnan(signed_rank(np.array(differences)))


@pytest.mark.parametrize(("up", "down"), [(0, 1), (3, 0), (5, 5), (12, 3), (2, 9)])
def test_mcnemar_agrees_with_statsmodels(up: int, down: int) -> None:
    differences = np.array([1.0] * up + [-1.0] * down + [0.0] * 7 + [NAN])
    expected = mcnemar_of_statsmodels([[3, up], [down, 4]], exact=True).pvalue
    assert mcnemar(differences) == pytest.approx(expected)


def test_mcnemar_by_hand() -> None:
    # 3 up, none down: both ends of a fair coin thrown 3 times, 2 / 8.
    assert mcnemar(np.array([1.0, 1.0, 1.0])) == pytest.approx(1 / 4)
    assert mcnemar(np.array([0.0, 0.0])) == 1


@pytest.mark.parametrize("n", [1, 2, 6, 20])
def test_holm_agrees_with_statsmodels(n: int) -> None:
    p = np.round(np.random.default_rng(n).random(n) ** 4, 2)
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1])


def test_holm_by_hand() -> None:
    # In order, the three known p .01, .03, .04 times 3, 2, 1 are .03, .06, .04; the last may
    # not be below the one before it.
    assert holm(np.array([0.04, NAN, 0.01, 0.03])) == pytest.approx(
        [0.06, NAN, 0.03, 0.06], nan_ok=True
    )
    assert np.isnan(holm(np.array([NAN, NAN]))).all()
