"""Run-to-run variance: a shared-seed design is found, independent draws are left alone."""

import itertools

import numpy as np
import pytest
from scipy import stats

from helpers.label_grids import Letters, assert_row, row, tables_of, verdicts_of_codes
from refusal_stability.statistics import seed_variance
from refusal_stability.statistics.seed_variance import variance_inflation


def inflation(refused: np.ndarray, seed: int = 1) -> dict[str, float]:
    return variance_inflation(refused.astype(bool), np.random.default_rng(seed))


def independent(seed: int, n_prompts: int = 60, n_seeds: int = 5) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.random((n_prompts, n_seeds)) < rng.beta(0.5, 0.5, size=(n_prompts, 1))


def shared(seed: int, n_prompts: int = 60, n_seeds: int = 5) -> np.ndarray:
    """One number a seed decides over all prompts, as one sampling seed a cell makes it."""
    rng = np.random.default_rng(seed)
    return rng.random((1, n_seeds)) < rng.beta(0.5, 0.5, size=(n_prompts, 1))


def test_variances_by_hand() -> None:
    # Columns 3, 1, 1: mean 5/3, variance (16 + 4 + 4) / 9 / 2 = 4/3. Each of the two mixed
    # prompts has variance 1/3; the constant one has none.
    found = inflation(np.array([[1, 0, 0], [1, 0, 0], [1, 1, 1]]))
    assert found["variance"] == pytest.approx(4 / 3)
    assert found["expected_variance"] == pytest.approx(2 / 3)
    assert found["variance_inflation"] == pytest.approx(2)
    # Of the 9 ways to place two refusals among three seeds, 3 put both in one: p is 1/3, and a
    # sample of 999 has a standard deviation of .015.
    assert found["p"] == pytest.approx(1 / 3, abs=0.06)


@pytest.mark.parametrize("n_seeds", [3, 4])
def test_p_is_near_that_of_all_orders(n_seeds: int) -> None:
    refused = independent(3, n_prompts=5, n_seeds=n_seeds)
    observed = refused.sum(axis=0).var(ddof=1)
    orders = [list(itertools.permutations(one)) for one in refused.tolist()]
    sampled = itertools.islice(itertools.product(*orders), 10**6)
    rng = np.random.default_rng(0)
    # All orders of three seeds are 6^5; of four, some of 24^5.
    if n_seeds == 3:
        every = np.array([np.sum(one, axis=0) for one in sampled])
    else:
        every = sum(np.array(of)[rng.integers(0, len(of), size=20000)] for of in orders)
    expected = (every.var(axis=1, ddof=1) >= observed - 1e-9).mean()
    assert inflation(refused)["p"] == pytest.approx(expected, abs=0.06)
    # On average over all orders, the variance of runs is what is expected of independent draws.
    mean = every.var(axis=1, ddof=1).mean()
    assert inflation(refused)["expected_variance"] == pytest.approx(mean, rel=0.02)


def test_shared_seeds_are_found() -> None:
    found = [inflation(shared(seed)) for seed in range(10)]
    assert all(each["p"] <= 0.01 for each in found)
    assert min(each["variance_inflation"] for each in found) > 3


def test_independent_draws_give_any_p() -> None:
    p = [inflation(independent(seed), seed)["p"] for seed in range(100)]
    assert stats.kstest(p, "uniform").pvalue > 0.01
    assert sum(each <= 0.05 for each in p) <= 12


def test_many_seeds_are_shuffled_and_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = independent(5, n_prompts=12, n_seeds=5)
    counted = inflation(refused)
    monkeypatch.setattr(seed_variance, "_MAX_PATTERNS", 0)
    shuffled = inflation(refused)
    assert shuffled["variance"] == counted["variance"]
    assert shuffled["p"] == pytest.approx(counted["p"], abs=0.08)


def test_prompts_that_never_change_tell_nothing() -> None:
    found = inflation(np.array([[1, 1, 1], [0, 0, 0]]))
    assert_row(found, {"variance": 0, "expected_variance": 0, "p": 1})
    assert np.isnan(found["variance_inflation"])


def test_the_table_by_hand() -> None:
    # T = 0: RC, CC and one prompt with an invalid label: runs of 1 and 0 refusals, variance 1/2.
    # T = 1: RR RR RR: nothing varies.
    labels: Letters = {("j", "m"): ["RC RR", "CC RR", "RU RR"]}
    table = tables_of(labels)["seed_effect"]
    expected = {"n_seeds": 2, "n_prompts": 2, "n_invalid": 1, "variance": 0.5}
    expected |= {"expected_variance": 0.5, "variance_inflation": 1, "p": 1}
    assert_row(row(table, temperature=0.0), expected)
    expected = {"n_prompts": 3, "variance": 0, "variance_inflation": None, "p": 1}
    assert_row(row(table, temperature=1.0), expected)


def test_partial_and_comply_are_alike() -> None:
    tables = [
        tables_of({("j", "m"): [text.replace("C", letter) for text in ("RCR", "CCR", "RRC")]})
        for letter in ("C", "P")
    ]
    assert tables[0]["seed_effect"].equals(tables[1]["seed_effect"])


def test_one_seed_cannot_vary() -> None:
    assert tables_of({("j", "m"): ["R C"]})["seed_effect"].is_empty()


def test_a_missing_cell_hides_no_shared_seeds() -> None:
    codes = np.where(shared(0, n_seeds=6), 0, 2)[None, None, :, None, :]
    codes = np.concatenate([codes, codes], axis=3)
    codes[..., 1, 2] = -1
    table = tables_of(verdicts_of_codes(codes))["seed_effect"]
    whole, lacking = (row(table, temperature=t) for t in (0.0, 1.0))
    assert (whole["n_seeds"], lacking["n_seeds"]) == (6, 5)
    assert (whole["n_prompts"], lacking["n_prompts"]) == (60, 60)
    assert lacking["p"] <= 0.01


def test_a_temperature_with_one_seed_has_no_test() -> None:
    table = tables_of({("j", "m"): ["RC R.", "CC C."]})["seed_effect"]
    nothing = {"n_seeds": 1, "n_prompts": 0, "variance": None, "variance_inflation": None}
    assert_row(row(table, temperature=1.0), nothing | {"p": None})
