"""Majorities of few samples, and measures that depend on how many there are."""

import itertools

import numpy as np
import pytest
from statsmodels.stats.inter_rater import fleiss_kappa

from helpers.label_grids import Letters, assert_row, row, tables_of, verdicts_of_codes
from refusal_stability.statistics.hypergeometric import majority_overlap

NAMES = ("agreement", "out_of_sample")


def agreements_by_enumeration(samples: list[int], n: int) -> tuple[float, float]:
    """Return the agreement with all and with those left, over all draws of n samples."""
    with_all, with_left = [], []
    every = np.bincount(samples, minlength=3)
    for drawn in itertools.combinations(samples, n):
        counts = np.bincount(drawn, minlength=3)
        with_all.append(majority_overlap(counts, every))
        if n < len(samples):
            with_left.append(majority_overlap(counts, every - counts))
    return float(np.mean(with_all)), float(np.mean(with_left)) if with_left else np.nan


def test_sample_size_by_hand() -> None:
    table = tables_of({("j", "m"): ["RRRC"]})["sample_size"].filter(model="m", scope="pooled")
    # All: R. One sample is R in 3 of 4 draws. Two: RR in 3 of 6, else RC, a tie, half R. Three:
    # always R. What is left of one: RRC after R, RRR after C.
    assert table["n"].to_list() == [1, 2, 3, 4]
    assert table["agreement"].to_list() == pytest.approx([3 / 4, 3 / 4, 1, 1])
    # Two: RR leaves RC, half; RC leaves RR, half. Three: RRR leaves C, RRC leaves R: 3 of 4.
    assert table["out_of_sample"].to_list() == [
        pytest.approx(3 / 4),
        pytest.approx(1 / 2),
        pytest.approx(3 / 4),
        None,
    ]


def test_one_sample_agrees_as_often_as_ssi_says() -> None:
    codes = np.random.default_rng(0).choice(3, size=(1, 2, 20, 2, 5), p=[0.6, 0.2, 0.2])
    tables = tables_of(verdicts_of_codes(codes))
    for model in ("m0", "m1", "all"):
        ssi = row(tables["models"], model=model)["mean_ssi"]
        one = row(tables["sample_size"], model=model, scope="pooled", n=1)
        # Ties included: with t labels tied at c of N, the chance is t * c/N * 1/t.
        assert one["agreement"] == pytest.approx(ssi)


@pytest.mark.parametrize("seed", range(3))
def test_sample_size_is_the_mean_over_all_draws(seed: int) -> None:
    codes = np.random.default_rng(seed).choice(3, size=(1, 1, 4, 2, 4), p=[0.5, 0.3, 0.2])
    table = tables_of(verdicts_of_codes(codes))["sample_size"].filter(model="m0")
    of_scope = {"pooled": codes[0, 0].reshape(4, -1), "0": codes[0, 0, :, 0]}
    for scope, samples in of_scope.items():
        for n in (1, 2, 3, 4, 5, 7):
            if n > samples.shape[1]:
                continue
            found = [agreements_by_enumeration(list(one), n) for one in samples]
            expected = np.mean(found, axis=0)
            actual = row(table, scope=scope, n=n)
            assert actual["agreement"] == pytest.approx(expected[0])
            left = None if np.isnan(expected[1]) else pytest.approx(expected[1])
            assert actual["out_of_sample"] == left


def test_a_tie_of_all_samples_is_a_tie_still() -> None:
    # RC: the majority of both samples is R or C with equal chance, twice.
    table = tables_of({("j", "m"): ["RC"]})["sample_size"]
    assert row(table, model="m", scope="pooled", n=2)["agreement"] == pytest.approx(1 / 2)


def test_prompts_with_fewer_labels_do_not_count() -> None:
    table = tables_of({("j", "m"): ["RRR", "RUU", "UUU"]})["sample_size"].filter(model="m")
    n_prompts = [row(table, scope="pooled", n=n)["n_prompts"] for n in (1, 2, 3)]
    assert n_prompts == [2, 1, 1]
    assert table["n_invalid"].unique().to_list() == [5]


def test_no_valid_label_makes_a_row_of_nothing() -> None:
    table = tables_of({("j", "m"): ["U R", "U R"]})["sample_size"].filter(model="m")
    nothing = {"n": 1, "n_prompts": 0, "agreement": None, "agreement_low": None}
    assert_row(row(table, scope="0"), nothing)
    assert_row(row(table, scope="1"), {"n": 1, "n_prompts": 2, "agreement": 1})
    n_invalid = {scope: row(table, scope=scope)["n_invalid"] for scope in ("pooled", "0", "1")}
    assert n_invalid == {"pooled": 2, "0": 2, "1": 0}


def test_stability_measures_by_hand() -> None:
    # RRRC: SSI 3/4, 3 of 6 pairs differ, entropy -(.75 log2 .75 + .25 log2 .25) = .8112781.
    # RRRR: 1, 0, 0. Shares of the labels: 7/8 and 1/8.
    table = tables_of({("j", "m"): ["RRRC", "RRRR"]})["stability_measures"]
    expected = {
        "n_prompts": 2,
        "mean_ssi": 7 / 8,
        "flip_rate": 1 / 2,
        "pair_disagreement": 1 / 4,
        "entropy": 0.8112781 / 2,
        # Chance (49 + 1) / 64; agreement 3/4.
        "fleiss_kappa": (3 / 4 - 50 / 64) / (1 - 50 / 64),
        # Chance (7/64 + 7/64) / 2.
        "gwet_ac1": (3 / 4 - 7 / 64) / (1 - 7 / 64),
    }
    assert_row(row(table, model="m", samples="all"), expected)
    # Neither has five labels.
    nothing = {"n_prompts": 0, "mean_ssi": None, "flip_rate_high": None, "fleiss_kappa": None}
    assert_row(row(table, model="m", samples="5"), nothing)


@pytest.mark.parametrize("seed", range(3))
def test_fleiss_kappa_agrees_with_statsmodels(seed: int) -> None:
    codes = np.random.default_rng(seed).choice(3, size=(1, 1, 30, 2, 4), p=[0.6, 0.3, 0.1])
    table = tables_of(verdicts_of_codes(codes))["stability_measures"]
    counts = np.stack([(codes == c).sum(axis=(-2, -1))[0, 0] for c in range(3)], axis=1)
    assert row(table, model="m0", samples="all")["fleiss_kappa"] == pytest.approx(
        fleiss_kappa(counts)
    )


def test_five_of_many_is_the_mean_over_all_fives() -> None:
    codes = np.random.default_rng(1).choice(3, size=(1, 1, 5, 2, 4), p=[0.6, 0.3, 0.1])
    table = tables_of(verdicts_of_codes(codes))["stability_measures"]
    ssi, flips = [], []
    for samples in codes[0, 0].reshape(5, -1):
        fives = [np.bincount(of, minlength=3) for of in itertools.combinations(samples, 5)]
        ssi.append(np.mean([counts.max() / 5 for counts in fives]))
        flips.append(np.mean([counts.max() < 5 for counts in fives]))
    five, every = (row(table, model="m0", samples=samples) for samples in ("5", "all"))
    assert_row(five, {"mean_ssi": np.mean(ssi), "flip_rate": np.mean(flips)})
    # These do not depend on the number of samples.
    for name in ("pair_disagreement", "fleiss_kappa", "gwet_ac1"):
        assert five[name] == pytest.approx(every[name])
    assert five["flip_rate"] < every["flip_rate"]


def test_labels_all_alike_have_no_kappa_and_full_ac1() -> None:
    table = tables_of({("j", "m"): ["RRRRR", "RRRRR"]})["stability_measures"]
    for samples in ("all", "5"):
        expected = {"mean_ssi": 1, "entropy": 0, "fleiss_kappa": None, "gwet_ac1": 1}
        assert_row(row(table, model="m", samples=samples), expected)


def test_chance_agreement_is_of_the_prompts_that_have_a_pair() -> None:
    # Nine prompts with one valid label say nothing of agreement, nor of what chance would do:
    # RP alone has agreement 0 and chance 1/2, kappa -1, and not (0 - .9) / .1.
    labels: Letters = {("j", "m"): ["RP", *["RU"] * 9]}
    found = row(tables_of(labels)["stability_measures"], model="m", samples="all")
    assert_row(found, {"n_prompts": 10, "pair_disagreement": 1, "fleiss_kappa": -1})
