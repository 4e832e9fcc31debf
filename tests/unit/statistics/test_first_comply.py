"""The chance of any COMPLY in k tries, and how many tries it takes."""

import itertools

import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

from helpers.label_grids import SETTINGS, Letters, assert_row, row, tables_of, verdicts_of_codes
from refusal_stability.statistics.bootstrap import Resamples


def test_first_comply_by_hand() -> None:
    # RRRC: 1/4 in one try; in three, all but RRR of 4 draws. RRRR: never. CC: always; it has no
    # third sample.
    labels: Letters = {("j", "m"): ["RRRC", "RRRR", "CCUU"]}
    table = tables_of(labels)["first_comply"].filter(model="m")
    expected = {
        "n_prompts": 3,
        "n_invalid": 2,
        "n_censored": 1,
        "comply_in_1": (1 / 4 + 0 + 1) / 3,
        "comply_in_3": (3 / 4 + 0) / 2,
        "comply_in_5": None,
        "comply_in_5_low": None,
        # 4 tries, more than can be told, and 1.
        "median_tries": 4,
        "median_tries_seen": 2.5,
    }
    assert_row(row(table, prompts="all"), expected)
    never = {"n_prompts": 1, "n_invalid": 2, "n_censored": 0, "comply_in_1": 1, "median_tries": 1}
    assert_row(row(table, prompts="never_refuses"), never)
    some = {"n_prompts": 2, "n_invalid": 0, "n_censored": 1, "comply_in_1": 1 / 8}
    assert_row(row(table, prompts="refuses"), some)
    # The middle of 4 and a censored one is not known.
    censored = {"median_tries": None, "median_tries_seen": 4}
    assert_row(row(table, prompts="refuses"), censored)


@pytest.mark.parametrize("seed", range(3))
def test_chances_are_the_mean_over_all_draws(seed: int) -> None:
    codes = np.random.default_rng(seed).choice(3, size=(1, 1, 8, 1, 6), p=[0.6, 0.2, 0.2])
    found = row(tables_of(verdicts_of_codes(codes))["first_comply"], model="m0", prompts="all")
    for k in (1, 3, 5):
        expected = np.mean(
            [
                np.mean([2 in drawn for drawn in itertools.combinations(samples, k)])
                for samples in codes[0, 0].reshape(8, -1)
            ]
        )
        assert found[f"comply_in_{k}"] == pytest.approx(expected)
    assert found["comply_in_10"] is None


def test_mostly_refuses_is_a_strict_majority() -> None:
    labels: Letters = {("j", "m"): ["RRCC", "RRRC", "RPPC", "CCCC"]}
    table = tables_of(labels)["first_comply"].filter(model="m")
    n = dict(table.select("prompts", "n_prompts").iter_rows())
    assert n == {"all": 4, "never_refuses": 1, "refuses": 3, "mostly_refuses": 1}


def test_shares_of_prompts_that_comply_have_wilsons_interval() -> None:
    # In as many tries as there are samples, a prompt complies or it does not: none of 6, and 1.
    for labels, count in ((["RRR"] * 6, 0), (["RRC", *["RRR"] * 5], 1)):
        table = tables_of({("j", "m"): labels})["first_comply"].filter(model="m")
        found = row(table, prompts="all")
        low, high = proportion_confint(count, 6, method="wilson")
        assert_row(found, {"comply_in_3_low": low, "comply_in_3_high": high})


def test_what_is_never_seen_is_censored_and_not_zero() -> None:
    table = tables_of({("j", "m"): ["RR", "RP"]})["first_comply"].filter(model="m")
    found = row(table, prompts="all")
    expected = {"n_censored": 2, "median_tries": None, "median_tries_seen": None}
    assert_row(found, expected | {"comply_in_1": 0})
    # No prompt of this kind at all.
    nothing = {"n_prompts": 0, "n_censored": 0, "comply_in_1": None, "comply_in_1_high": None}
    assert_row(row(table, prompts="never_refuses"), nothing)


def test_medians_count_censored_prompts_as_late() -> None:
    # 1, 2, 4 tries and two censored: the median of five is the third, 4.
    labels: Letters = {("j", "m"): ["CCCC", "CCRR", "CRRR", "RRRR", "RRRR"]}
    found = row(tables_of(labels)["first_comply"], model="m", prompts="all")
    assert_row(found, {"median_tries": 4, "median_tries_seen": 2, "n_censored": 2})


def test_all_models_count_pairs_and_average_prompts() -> None:
    labels: Letters = {("j", "m"): ["CR", "RR"], ("j", "n"): ["CC", "UU"]}
    found = row(tables_of(labels)["first_comply"], model="all", prompts="all")
    # Three pairs of tries 2, censored and 1. Prompts: (1/2 + 1) / 2 and 0 of m alone.
    expected = {"n_prompts": 3, "n_invalid": 2, "n_censored": 1, "comply_in_1": (3 / 4 + 0) / 2}
    assert_row(found, expected | {"median_tries": 2, "median_tries_seen": 1.5})


def test_no_valid_label_is_no_prompt() -> None:
    table = tables_of({("j", "m"): ["UU"]})["first_comply"].filter(model="m")
    nothing = {"n_prompts": 0, "n_invalid": 2, "comply_in_1": None, "median_tries": None}
    for prompts in table["prompts"]:
        assert_row(row(table, prompts=prompts), nothing)


def test_intervals_of_medians_are_those_of_resampled_prompts() -> None:
    # (models, prompts, seeds): how many of 4 replies comply; the others are refused.
    comply = np.array([[1, 2, 4, 4, 2, 1, 1, 4, 2], [1, 1, 1, 2, 4, 4, 1, 2, 0]])
    codes = np.where(np.arange(4) < comply[..., None], 2, 0)[None, :, :, None]
    table = tables_of(verdicts_of_codes(codes))["first_comply"].filter(prompts="all")
    counts = Resamples(9, SETTINGS.bootstrap_resamples, SETTINGS.bootstrap_seed).counts
    with np.errstate(divide="ignore"):
        tries = 4 / comply
    for model, rows in {"m0": tries[:1], "m1": tries[1:], "all": tries}.items():
        # The pairs of every model come along with a prompt.
        drawn = [np.concatenate([np.repeat(row, held) for row in rows]) for held in counts]
        seen = [np.median(one[np.isfinite(one)]) for one in drawn]
        every = [np.median(np.where(np.isinf(one), 1e9, one)) for one in drawn]
        for name, medians in {"median_tries_seen": seen, "median_tries": every}.items():
            low, high = np.quantile(medians, [0.025, 0.975])
            assert high < 1e9, "one censored prompt of nine reaches no bound here"
            bounds = {f"{name}_low": pytest.approx(low), f"{name}_high": pytest.approx(high)}
            found = row(table, model=model)
            assert {key: found[key] for key in bounds} == bounds


def test_an_interval_that_reaches_censored_prompts_is_empty() -> None:
    # The median of three is seen, but resamples may hold the censored one twice.
    table = tables_of({("j", "m"): ["CC", "CR", "RR"]})["first_comply"]
    found = row(table, model="m", prompts="all")
    bounds = {"median_tries_low": None, "median_tries_high": None}
    assert_row(found, bounds | {"median_tries": 2, "median_tries_seen": 1.5})
    assert (found["median_tries_seen_low"], found["median_tries_seen_high"]) == (1, 2)
