"""Tests over temperatures: blocks are prompts, and all models the same at each temperature."""

import numpy as np
import polars as pl
import pytest
from scipy import stats

from helpers.label_grids import Letters, assert_row, row, tables_of, verdicts_of_codes
from refusal_stability.statistics.hypothesis_tests import friedman, holm, signed_rank

# Three samples a temperature, three temperatures. SSI of m: 1, 1, 2/3; 1, 2/3, 1/3; 1, 1, 1.
# Of n: 1, 2/3, 2/3; 1, 1, 1; 2/3, 1, 1.
LABELS: Letters = {
    ("j", "m"): ["RRR RRR RRP", "RRR RRP RPC", "CCC CCC CCC"],
    ("j", "n"): ["RRR RRP RRP", "RRR RRR RRR", "CCP CCC CCC"],
}
SSI_M = np.array([[1, 1, 2 / 3], [1, 2 / 3, 1 / 3], [1, 1, 1]])
SSI_N = np.array([[1, 2 / 3, 2 / 3], [1, 1, 1], [2 / 3, 1, 1]])


@pytest.fixture(scope="module")
def tables() -> dict[str, pl.DataFrame]:
    return tables_of(LABELS)


def random_codes(seed: int, shape: tuple[int, ...] = (1, 2, 25, 4, 5)) -> np.ndarray:
    return np.random.default_rng(seed).choice(3, size=shape, p=[0.7, 0.2, 0.1])


def ssi_of(codes: np.ndarray) -> np.ndarray:
    """Return SSI over the last axis, of labels that are all valid."""
    counts = np.stack([(codes == label).sum(axis=-1) for label in range(3)])
    return counts.max(axis=0) / codes.shape[-1]


def test_temperature_effect_by_hand(tables: dict[str, pl.DataFrame]) -> None:
    table = tables["temperature_effect"]
    assert table["n"].to_list() == [3, 3, 3, 6]
    # m's ranks: 2.5 2.5 1, 3 2 1, 2 2 2. Sums 7.5, 6.5, 4 lie 1.5, .5, -2 from 6: 6.5 of
    # squares. Within blocks: .25 + .25 + 1, 1 + 0 + 1, 0: 3.5 of squares.
    # chi2 = 2 * 6.5 / 3.5, W = chi2 / (3 * 2). Page: predicted 1, 0, -1 gives 1.5 + 2 = 3.5, of
    # variance 2 * 3.5 / 2. The first two blocks have 3 and 6 orders: of 18 pairs, the squares are
    # as large in 6, where the first's lowest column is the second's, and Page's sum in 1.
    expected = {
        "friedman_chi2": 13 / 3.5,
        "friedman_p": 6 / 18,
        "kendalls_w": 13 / 3.5 / 6,
        "page_z": 3.5 / np.sqrt(3.5),
        "page_p": 1 / 18,
        "ssi_drop": (1 / 3 + 2 / 3 + 0) / 3,
    }
    assert_row(row(table, model="m"), expected)


def test_models_are_averaged_before_they_are_ranked(tables: dict[str, pl.DataFrame]) -> None:
    found = row(tables["temperature_effect"], model="all", unit="prompt")
    chi2, p = friedman((SSI_M + SSI_N) / 2)
    assert chi2 == pytest.approx(stats.friedmanchisquare(*((SSI_M + SSI_N) / 2).T).statistic)
    drop = ((SSI_M + SSI_N) / 2)[:, 0] - ((SSI_M + SSI_N) / 2)[:, 2]
    assert_row(found, {"friedman_chi2": chi2, "friedman_p": p})
    assert_row(found, {"ssi_drop": drop.mean()})
    pairs = row(tables["temperature_effect"], model="all", unit="model_prompt_pair")
    expected = stats.friedmanchisquare(*np.concatenate([SSI_M, SSI_N]).T)
    assert_row(pairs, {"friedman_chi2": expected.statistic, "ssi_drop": drop.mean()})


@pytest.mark.parametrize("seed", range(3))
def test_blocks_of_a_larger_run_are_those_of_scipy(seed: int) -> None:
    codes = random_codes(seed)
    ssi = ssi_of(codes)[0]
    table = tables_of(verdicts_of_codes(codes))["temperature_effect"]
    blocks = {
        ("m0", "prompt"): ssi[0],
        ("m1", "prompt"): ssi[1],
        ("all", "prompt"): np.round(ssi.mean(axis=0), 12),
        ("all", "model_prompt_pair"): ssi.reshape(-1, 4),
    }
    for (model, unit), of in blocks.items():
        found = row(table, model=model, unit=unit)
        assert found["friedman_chi2"] == pytest.approx(stats.friedmanchisquare(*of.T).statistic)
        assert found["kendalls_w"] == pytest.approx(found["friedman_chi2"] / (len(of) * 3))


def test_temperature_pairs_by_hand(tables: dict[str, pl.DataFrame]) -> None:
    table = tables["temperature_pairs"].filter(model="m")
    assert table.select("temperature_a", "temperature_b").rows() == [(0, 1), (0, 2), (1, 2)]
    expected = [(0 + 1 / 3 + 0) / 3, (1 / 3 + 2 / 3 + 0) / 3, (1 / 3 + 1 / 3 + 0) / 3]
    assert table["difference"].to_list() == pytest.approx(expected)
    # One, two and two (tied) differences, all of one sign: 2 of 2, 4 and 4 choices of signs.
    p = [1, 1 / 2, 1 / 2]
    assert table["p"].to_list() == pytest.approx(p)
    assert table["p_holm"].to_list() == pytest.approx(holm(np.array(p)))


def test_pairs_of_all_models_are_of_their_mean() -> None:
    codes = random_codes(7)
    ssi = np.round(ssi_of(codes)[0].mean(axis=0), 12)
    table = tables_of(verdicts_of_codes(codes))["temperature_pairs"].filter(model="all")
    for a, b, p in table.select("temperature_a", "temperature_b", "p").iter_rows():
        difference = np.round(ssi[:, int(a)] - ssi[:, int(b)], 12)
        assert p == pytest.approx(signed_rank(difference))


@pytest.mark.parametrize("n_prompts", [1, 41, 79])
def test_a_perfect_fall_has_a_w_of_one(n_prompts: int) -> None:
    # 41 and 79 blocks would come out a last digit above 1, which breaks the contract.
    table = tables_of({("j", "m"): ["RRRRR RRRRP RRRPP RRPPC"] * n_prompts})
    assert row(table["temperature_effect"], model="m", unit="prompt")["kendalls_w"] == 1


def test_constant_labels_have_no_test_and_a_drop_of_nothing() -> None:
    tables = tables_of({("j", "m"): ["RR RR", "CC CC"]})
    expected = {"n": 2, "friedman_chi2": None, "friedman_p": None, "page_z": None}
    drop = {"ssi_drop": 0, "ssi_drop_low": 0, "ssi_drop_high": 0}
    assert_row(row(tables["temperature_effect"], model="m"), expected | drop)
    expected = {"difference": 0, "difference_low": 0, "difference_high": 0, "p": 1, "p_holm": 1}
    assert_row(row(tables["temperature_pairs"], model="m"), expected)


def test_a_model_that_lacks_a_temperature_does_not_feign_an_effect_of_it() -> None:
    # m has SSI 1 everywhere, n 1/2 everywhere and no T = 1. A mean of both at T = 0 and of m
    # alone at T = 1 would rise by 1/4.
    labels: Letters = {
        ("j", "m"): ["RR RR", "RR RR", "CC CC"],
        ("j", "n"): ["RP ..", "RP ..", "RC .."],
    }
    tables = tables_of(labels)
    of_all = {"model": "all", "unit": "prompt"}
    nothing = {"n": 3, "ssi_drop": 0, "friedman_chi2": None, "page_z": None}
    assert_row(row(tables["temperature_effect"], **of_all), nothing)
    assert_row(row(tables["temperature_pairs"], model="all"), {"n": 3, "difference": 0, "p": 1})
    # Only three of the six (model, prompt) pairs have both temperatures.
    pairs = {"model": "all", "unit": "model_prompt_pair"}
    assert_row(row(tables["temperature_effect"], **pairs), {"n": 3, "ssi_drop": 0})
    # n itself has nothing to compare.
    nothing = {"n": 0, "ssi_drop": None, "ssi_drop_low": None, "kendalls_w": None}
    assert_row(row(tables["temperature_effect"], model="n"), nothing)
    nothing = {"n": 0, "difference": None, "p": None, "p_holm": None}
    assert_row(row(tables["temperature_pairs"], model="n"), nothing)


def test_a_pair_of_a_prompt_seen_twice_narrows_only_the_papers_interval() -> None:
    one = random_codes(1, (1, 1, 40, 2, 5))
    table = tables_of(verdicts_of_codes(np.concatenate([one] * 4, axis=1)))["temperature_effect"]
    prompts, pairs = (
        row(table, model="all", unit=unit) for unit in ("prompt", "model_prompt_pair")
    )
    assert prompts["n"] == 40
    assert pairs["n"] == 160
    width = [each["ssi_drop_high"] - each["ssi_drop_low"] for each in (prompts, pairs)]
    # As if there were four times as many prompts, which are all the blocks there are.
    assert pairs["ssi_drop"] == pytest.approx(prompts["ssi_drop"])
    assert width[1] == pytest.approx(width[0] / 2, rel=0.25)


def test_invalid_labels_of_both_temperatures_are_counted() -> None:
    table = tables_of({("j", "m"): ["RU UU RR", "RR RR RR"]})["temperature_pairs"]
    # One at T = 0, two at T = 1, none at T = 2; no SSI of the first prompt at T = 1.
    assert table.filter(model="m")["n_invalid"].to_list() == [3, 1, 2]
    assert table.filter(model="m")["n"].to_list() == [1, 2, 1]


def test_the_papers_drop_is_of_the_pairs_that_have_both_temperatures() -> None:
    # Drops 0 and 1/2 of m, and 0 of n, which lacks the second prompt at T = 1: 1/6. A mean over
    # prompts, of the models that have one: (0 + 1/2) / 2.
    labels: Letters = {("j", "m"): ["RR RR", "RR RP"], ("j", "n"): ["CC CC", "CC .."]}
    table = tables_of(labels)["temperature_effect"].filter(model="all")
    assert row(table, unit="model_prompt_pair")["ssi_drop"] == pytest.approx(1 / 6)
    assert row(table, unit="prompt")["ssi_drop"] == pytest.approx(1 / 4)


def test_one_temperature_has_nothing_to_compare() -> None:
    tables = tables_of({("j", "m"): ["RP", "RR"]})
    assert tables["temperature_effect"].is_empty()
    assert tables["temperature_pairs"].is_empty()
