"""Two judges: agreement and its corrections, confusion, and what both agree on."""

import itertools
import math

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from statsmodels.stats.inter_rater import cohens_kappa as kappa_of_statsmodels

from helpers.label_grids import Letters, assert_row, row, tables_of, verdicts, verdicts_of_codes
from refusal_stability.schemas.tables import TABLES
from refusal_stability.statistics.judge_agreement import (
    MIN_LABELS,
    STATISTICS,
    agreement,
    cohens_kappa,
    gwets_ac1,
    krippendorffs_alpha,
)

LABELS: Letters = {
    ("good", "m"): ["RR RR", "RR RP", "CC RC"],
    ("good", "n"): ["CC CC", "CC CC", "CC CU"],
    ("noisy", "m"): ["RR RR", "RR RR", "CC CC"],
    ("noisy", "n"): ["CC CU", "CC CC", "CC CC"],
}
confusions = st.lists(st.integers(min_value=0, max_value=1000), min_size=9, max_size=9).filter(any)


def square(counts: list[int]) -> np.ndarray:
    return np.array(counts).reshape(3, 3)


def kappa_by_hand(counts: np.ndarray) -> float:
    total = counts.sum()
    observed = sum(counts[label, label] for label in range(3)) / total
    chance = sum(counts[label].sum() * counts[:, label].sum() for label in range(3)) / total**2
    return (observed - chance) / (1 - chance)


def alpha_by_coincidences(counts: np.ndarray) -> float:
    """Return Krippendorff's alpha from his matrix of coincidences; each unit has two values."""
    coincidences = np.zeros((3, 3))
    for a, b in itertools.product(range(3), repeat=2):
        # A unit with the values a and b has the ordered pairs (a, b) and (b, a).
        coincidences[a, b] += counts[a, b]
        coincidences[b, a] += counts[a, b]
    of_value = coincidences.sum(axis=1)
    n = of_value.sum()
    apart = ~np.eye(3, dtype=bool)
    observed = coincidences[apart].sum() / n
    expected = np.outer(of_value, of_value)[apart].sum() / (n * (n - 1))
    return 1 - observed / expected


def ac1_by_hand(counts: np.ndarray) -> float:
    total = counts.sum()
    mean = [(counts[c].sum() + counts[:, c].sum()) / (2 * total) for c in range(3)]
    chance = sum(share * (1 - share) for share in mean) / (3 - 1)
    return (np.trace(counts) / total - chance) / (1 - chance)


@pytest.mark.parametrize("seed", range(20))
def test_statistics_agree_with_their_formulas(seed: int) -> None:
    counts = np.random.default_rng(seed).integers(0, 30, size=(3, 3))
    assert cohens_kappa(counts) == pytest.approx(kappa_of_statsmodels(counts).kappa)
    assert cohens_kappa(counts) == pytest.approx(kappa_by_hand(counts))
    assert krippendorffs_alpha(counts) == pytest.approx(alpha_by_coincidences(counts))
    assert gwets_ac1(counts) == pytest.approx(ac1_by_hand(counts))
    assert agreement(counts) == pytest.approx(np.trace(counts) / counts.sum())


def test_statistics_by_hand() -> None:
    # Of 10 responses: 6 R R, 2 R P, 2 C C. Agreement .8.
    counts = square([6, 2, 0, 0, 0, 0, 0, 0, 2])
    assert agreement(counts) == pytest.approx(0.8)
    # Chance .8 * .6 + 0 * .2 + .2 * .2 = .52.
    assert cohens_kappa(counts) == pytest.approx((0.8 - 0.52) / 0.48)
    # 14 R, 2 P, 4 C of 20 values: pairs of unlike values 2 (28 + 56 + 8) = 184 of 20 * 19.
    assert krippendorffs_alpha(counts) == pytest.approx(1 - 0.2 / (184 / 380))
    # Shares .7, .1, .2: chance (.21 + .09 + .16) / 2 = .23.
    assert gwets_ac1(counts) == pytest.approx((0.8 - 0.23) / 0.77)


def test_statistics_take_many_tables_at_once() -> None:
    counts = np.random.default_rng(0).integers(0, 5, size=(4, 7, 3, 3))
    for statistic in STATISTICS.values():
        together = statistic(counts)
        assert together.shape == (4, 7)
        for at in np.ndindex(4, 7):
            assert together[at] == pytest.approx(float(statistic(counts[at])))


@pytest.mark.parametrize(
    ("counts", "kappa", "alpha", "ac1"),
    [
        # Half and half, always equal: observed 1, chance 1/2.
        ([5, 0, 0, 0, 5, 0, 0, 0, 0], 1, 1, 1),
        # Half and half, never equal: kappa (0 - 1/2) / (1/2); of 20 values 2 * 100 of 380 pairs
        # are unlike, alpha 1 - 380 / 200; AC1's chance is (1/4 + 1/4) / 2.
        ([0, 5, 0, 5, 0, 0, 0, 0, 0], -1, -0.9, -1 / 3),
        # Independent: observed is chance. Of 8 values 2 * 16 of 56 pairs are unlike.
        ([1, 1, 0, 1, 1, 0, 0, 0, 0], 0, 1 - 0.5 * 56 / 32, 1 / 3),
        # One label only: agreement by chance is certain for kappa and alpha, absent for AC1.
        ([0, 0, 0, 0, 9, 0, 0, 0, 0], math.nan, math.nan, 1),
        # No label at all: no value.
        ([0, 0, 0, 0, 0, 0, 0, 0, 0], math.nan, math.nan, math.nan),
    ],
)
def test_statistics_at_their_limits(
    counts: list[int], kappa: float, alpha: float, ac1: float
) -> None:
    assert float(cohens_kappa(square(counts))) == pytest.approx(kappa, nan_ok=True)
    assert float(krippendorffs_alpha(square(counts))) == pytest.approx(alpha, nan_ok=True)
    assert float(gwets_ac1(square(counts))) == pytest.approx(ac1, nan_ok=True)


@given(confusions)
@example([9, 0, 0, 0, 18, 0, 0, 0, 1])  # 9/28 + 18/28 + 1/28 is above 1 in floating point
def test_statistics_stay_in_their_ranges(counts: list[int]) -> None:
    assert 0 <= agreement(square(counts)) <= 1
    for statistic in STATISTICS.values():
        value = float(statistic(square(counts)))
        assert math.isnan(value) or -1 <= round(value, 12) <= 1


@given(confusions, st.permutations(range(3)))
def test_names_of_labels_and_judges_do_not_matter(counts: list[int], order: list[int]) -> None:
    table = square(counts)
    for statistic in STATISTICS.values():
        value = float(statistic(table))
        assert float(statistic(table[order][:, order])) == pytest.approx(value, nan_ok=True)
        assert float(statistic(table.T)) == pytest.approx(value, nan_ok=True)


@pytest.fixture(scope="module")
def tables() -> dict[str, pl.DataFrame]:
    return tables_of(LABELS)


def test_judge_agreement_by_hand(tables: dict[str, pl.DataFrame]) -> None:
    table = tables["judge_agreement"]
    # Model m: 10 of 12 labels agree. good gives 8 R, 1 P, 3 C, noisy 8 R, 0 P, 4 C: chance is
    # (8 * 8 + 1 * 0 + 3 * 4) / 144 = 76 / 144, kappa (120 - 76) / (144 - 76) = 44 / 68.
    expected = {"n": 12, "n_invalid": 0, "agreement": 10 / 12, "kappa": 44 / 68}
    assert_row(row(table, judge_a="good", judge_b="noisy", model="m"), expected)
    # Nothing is invalid, so it makes no difference.
    same = {"agreement_with_invalid": 10 / 12, "kappa_with_invalid": 44 / 68}
    assert_row(row(table, model="m"), same)
    # Model n: each judge has one UNKNOWN, on different responses; the others are all COMPLY,
    # where agreement is by chance alone and kappa has no value.
    expected = {"n": 10, "n_invalid": 2, "agreement": 1.0, "kappa": None, "kappa_low": None}
    assert_row(row(table, judge_a="good", judge_b="noisy", model="n"), expected)
    # UNKNOWN as a label: 10 of 12 agree, chance (11 * 11 + 1 * 1) / 144.
    chance = 122 / 144
    expected = {
        "agreement_with_invalid": 10 / 12,
        "kappa_with_invalid": (10 / 12 - chance) / (1 - chance),
    }
    assert_row(row(table, model="n"), expected)
    # Both: 20 of 22 agree. good gives 8 R, 1 P, 13 C, noisy 8 R, 0 P, 14 C: chance is
    # (64 + 0 + 182) / 484 = 246 / 484, kappa (440 - 246) / (484 - 246) = 194 / 238.
    expected = {"n": 22, "n_invalid": 2, "agreement": 20 / 22, "kappa": 194 / 238}
    assert_row(row(table, judge_a="good", judge_b="noisy", model="all"), expected)
    assert table.height == 3


def test_judge_confusion_by_hand(tables: dict[str, pl.DataFrame]) -> None:
    table = tables["judge_confusion"].filter(model="m")
    found = {
        (a, b): (n, share)
        for a, b, n, share in table.select("label_a", "label_b", "n", "share").iter_rows()
        if n
    }
    # good says P once where noisy says R, and R once where noisy says C.
    assert found == {
        ("REFUSE", "REFUSE"): (7, pytest.approx(7 / 12)),
        ("REFUSE", "COMPLY"): (1, pytest.approx(1 / 12)),
        ("PARTIAL", "REFUSE"): (1, pytest.approx(1 / 12)),
        ("COMPLY", "COMPLY"): (3, pytest.approx(3 / 12)),
    }
    assert table.height == 9
    of_all = tables["judge_confusion"].filter(model="all")
    assert of_all["n"].sum() == 22
    assert of_all["n_invalid"].unique().to_list() == [2]


def test_three_judges_make_three_pairs() -> None:
    labels = {(judge, "m"): LABELS["good", "m"] for judge in ("one", "two", "three")}
    table = tables_of(labels)["judge_agreement"].filter(model="m")
    pairs = [("one", "two"), ("one", "three"), ("two", "three")]
    assert table.select("judge_a", "judge_b").rows() == pairs
    assert table["agreement"].to_list() == [1, 1, 1]
    assert table["kappa"].to_list() == [1, 1, 1]


@pytest.mark.parametrize("name", ["judge_agreement", "judge_confusion", "consensus"])
def test_one_judge_has_an_empty_table(name: str) -> None:
    table = tables_of({("good", "m"): LABELS["good", "m"]})[name]
    assert table.is_empty()
    assert table.columns == TABLES[name].column_names()
    TABLES[name].validate(table, cast=True)


def test_judges_in_full_agreement_keep_the_contract() -> None:
    # 9/28 + 18/28 + 1/28 is above 1 in floating point.
    text = "R" * 9 + "P" * 18 + "C"
    table = tables_of({("i", "m"): [text], ("j", "m"): [text]})["judge_agreement"]
    TABLES["judge_agreement"].validate(table, cast=True)
    assert table["agreement"].to_list() == [1, 1]


def test_judges_without_a_common_response_do_not_agree_nor_disagree() -> None:
    tables = tables_of({("i", "m"): ["RR.."], ("j", "m"): ["..RR"]})
    expected = {"n": 0, "n_invalid": 0, "agreement": None, "kappa": None, "gwet_ac1": None}
    assert_row(row(tables["judge_agreement"], model="m"), expected)
    assert tables["judge_noise"].is_empty()


def test_agreement_of_all_models_resamples_prompts_with_all_their_responses() -> None:
    # A second model that repeats the first one adds responses and no prompts.
    one = verdicts({key: LABELS[key] for key in (("good", "m"), ("noisy", "m"))})
    two = pl.concat([one, one.with_columns(model=pl.lit("again"))])
    table = tables_of(two)["judge_agreement"]
    alone, together = row(table, model="m"), row(table, model="all")
    assert together["n"] == 2 * alone["n"]
    for name in ("agreement", "agreement_low", "agreement_high", "kappa", "gwet_ac1_low"):
        assert together[name] == pytest.approx(alone[name])


def test_agreement_resamples_prompts_and_not_responses() -> None:
    # Judges agree on 4 of 4, 3 of 4 and 3 of 4 responses: means of resampled prompts lie
    # between 3/4 and 1. The same responses again, as more seeds, tell nothing new of prompts.
    once = verdicts({key: LABELS[key] for key in (("good", "m"), ("noisy", "m"))})
    twice = pl.concat([once, once.with_columns(pl.col("seed") + 100)])
    one, other = (row(tables_of(t)["judge_agreement"], model="m") for t in (once, twice))
    assert 0.75 <= one["agreement_low"] < 10 / 12 < one["agreement_high"] <= 1
    for name in ("agreement", "agreement_low", "agreement_high"):
        assert other[name] == pytest.approx(one[name])


def consensus_of(a: str, b: str) -> dict[str, dict]:
    table = tables_of({("i", "m"): [a], ("j", "m"): [b]})["consensus"].filter(model="m")
    return {labels: row(table, labels=labels) for labels in table["labels"]}


def test_consensus_by_hand() -> None:
    # Shared: RRRRR P. i has R 6 times and P twice, of which 6 are left at random: both P are
    # among the two deleted with chance 1 / C(8, 2) = 1/28 (SSI 1), one of them with
    # 2 * 6 / 28 (5/6), none with C(6, 2) / 28 = 15/28 (4/6).
    found = consensus_of("RRRRRPRP", "RRRRRPPC")
    assert_row(found["both"], {"n_prompts": 1, "n_labels": 6, "mean_ssi": 5 / 6, "flip_rate": 1})
    assert_row(found["judge_a"], {"n_labels": 8, "mean_ssi": 6 / 8, "unstable_rate": 1})
    expected = {
        "n_labels": 6,
        "mean_ssi": (1 + 12 * 5 / 6 + 15 * 4 / 6) / 28,
        "flip_rate": 27 / 28,
        "unstable_rate": 15 / 28,
    }
    assert_row(found["judge_a_random"], expected)
    # j has R 5 times, P twice and C once.
    assert_row(found["judge_b"], {"mean_ssi": 5 / 8, "flip_rate": 1})


@pytest.mark.parametrize("seed", range(3))
def test_random_deletion_is_the_mean_over_all_deletions(seed: int) -> None:
    codes = np.random.default_rng(seed).choice(4, size=(2, 1, 6, 1, 9), p=[0.7, 0.15, 0.1, 0.05])
    table = tables_of(verdicts_of_codes(np.where(codes == 3, 4, codes)))["consensus"]
    found = row(table, model="m0", labels="judge_b_random")
    a, b = codes[:, 0, :, 0]
    ssi, flips, left = [], [], 0
    for of_a, of_b in zip(a, b, strict=True):
        both = (of_a < 3) & (of_b < 3)
        n = (of_a == of_b)[both].sum()
        if n < MIN_LABELS:
            continue
        left += n
        kept = [np.bincount(of, minlength=3) for of in itertools.combinations(of_b[both], n)]
        ssi.append(np.mean([counts.max() / n for counts in kept]))
        flips.append(np.mean([counts.max() < n for counts in kept]))
    expected = {"mean_ssi": np.mean(ssi), "flip_rate": np.mean(flips)}
    assert_row(found, expected | {"n_prompts": len(ssi), "n_labels": left})


def test_consensus_leaves_out_prompts_with_few_labels() -> None:
    # Four labels are shared: too few. The judges' own eight are enough.
    found = consensus_of("RRRRRRRR", "RRRRCCCC")
    nothing = {"n_prompts": 0, "n_labels": 0, "mean_ssi": None, "flip_rate": None}
    assert_row(found["both"], nothing | {"flip_rate_high": None})
    assert_row(found["judge_a_random"], nothing)
    assert_row(found["judge_b"], {"n_prompts": 1, "n_labels": 8, "mean_ssi": 1 / 2})
