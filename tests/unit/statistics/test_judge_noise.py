"""How much of the flips is the judge: planted errors are found, identical texts by hand."""

import numpy as np
import polars as pl
import pytest

from helpers.label_grids import Letters, assert_row, row, tables_of, verdicts, verdicts_of_codes
from refusal_stability.schemas.tables import TABLES
from refusal_stability.statistics.judge_agreement import confusion_by_prompt
from refusal_stability.statistics.misclassification import (
    Parameters,
    _parts,
    _step,
    fit,
    flip_rates,
    label_error_rates,
    refit,
)

# What each judge makes of a true REFUSE, PARTIAL and COMPLY.
JUDGE_A = np.array([[0.97, 0.03, 0.00], [0.05, 0.93, 0.02], [0.00, 0.04, 0.96]])
JUDGE_B = np.array([[0.95, 0.02, 0.03], [0.20, 0.75, 0.05], [0.02, 0.08, 0.90]])
EXACT = np.eye(3)
# Shares of true labels in each type of prompts, and how frequent the type is.
TYPES = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0.7, 0.3, 0], [0, 0.4, 0.6]])
WEIGHTS = np.array([0.55, 0.05, 0.1, 0.2, 0.1])
N_SAMPLES = 20


def simulated(
    judges: tuple[np.ndarray, np.ndarray], n_prompts: int, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Return true labels and the two judges', (prompts, samples) and (2, prompts, samples)."""
    rng = np.random.default_rng(seed)
    shares = TYPES[rng.choice(len(TYPES), size=n_prompts, p=WEIGHTS)]

    def draw(chances: np.ndarray) -> np.ndarray:
        return (rng.random((*chances.shape[:-1], 1)) > np.cumsum(chances, axis=-1)).sum(axis=-1)

    true = draw(np.repeat(shares[:, None], N_SAMPLES, axis=1)).clip(0, 2)
    return true, np.stack([draw(judge[true]).clip(0, 2) for judge in judges])


def flips_of(labels: np.ndarray) -> float:
    return float((labels != labels[..., :1]).any(axis=-1).mean())


def fitted(labels: np.ndarray) -> tuple[Parameters, np.ndarray, np.ndarray]:
    confusion, _ = confusion_by_prompt(*labels[:, None])
    patterns, counts = np.unique(confusion[0], axis=0, return_counts=True)
    weights = counts[None].astype(float)
    return fit(patterns, weights), patterns, weights


def test_planted_errors_and_flips_are_recovered() -> None:
    true, labels = simulated((JUDGE_A, JUDGE_B), 4000)
    parameters, patterns, weights = fitted(labels)
    for found, planted in zip(parameters.judges, (JUDGE_A, JUDGE_B), strict=True):
        assert found[0] == pytest.approx(planted, abs=0.015)
    expected, noise_free = flip_rates(parameters, patterns.sum(axis=-1), weights)
    # 1 - .7^20 - .3^20 of 20% of the prompts, and nearly all of 10%; the judges make more.
    assert noise_free.item() == pytest.approx(flips_of(true), abs=0.01)
    assert expected[0] == pytest.approx([flips_of(of) for of in labels], abs=0.01)
    assert expected.min() > 2 * noise_free.item()
    errors = [(of != true).mean() for of in labels]
    assert label_error_rates(parameters)[0] == pytest.approx(errors, abs=0.005)


def test_judges_without_an_error_have_none() -> None:
    true, labels = simulated((EXACT, EXACT), 500)
    parameters, patterns, weights = fitted(labels)
    expected, noise_free = flip_rates(parameters, patterns.sum(axis=-1), weights)
    assert label_error_rates(parameters)[0] == pytest.approx([0, 0], abs=1e-3)
    assert [*expected[0], *noise_free] == pytest.approx([flips_of(true)] * 3, abs=0.01)


def test_chances_sum_to_one() -> None:
    parameters, _, _ = fitted(simulated((JUDGE_A, JUDGE_B), 300)[1])
    assert parameters.weights.sum(axis=-1) == pytest.approx(np.ones(1))
    # Three types never flip, and stay so.
    assert np.array_equal(parameters.types[0, :3], EXACT)
    for shares in (parameters.types, *parameters.judges):
        assert shares.sum(axis=-1) == pytest.approx(np.ones(shares.shape[:-1]))
        assert shares.min() >= 0


def test_a_refit_to_the_same_data_stays_and_fits_do_not_mix() -> None:
    first, patterns, weights = fitted(simulated((JUDGE_A, JUDGE_B), 600)[1])
    other = np.where(np.arange(len(patterns)) % 2, 2.0, 0.5)
    both = refit(patterns, np.stack([weights[0], other]), first)
    alone = refit(patterns, other[None], first)
    assert both.judges[0][0] == pytest.approx(first.judges[0][0], abs=0.01)
    assert both.judges[0][1] == pytest.approx(alone.judges[0][0], abs=1e-9)
    assert both.weights[1] == pytest.approx(alone.weights[0], abs=1e-9)


def test_leaps_end_where_small_steps_do() -> None:
    labels = simulated((JUDGE_A, JUDGE_B), 600)[1]
    parameters, patterns, weights = fitted(labels)
    parts = (parameters.types, parameters.weights, *parameters.judges)
    at = np.concatenate([part.reshape(1, -1) for part in parts], axis=1)
    _, ended = _step(patterns.astype(float), weights, at)
    for _ in range(2000):
        at, likelihood = _step(patterns.astype(float), weights, at)
    # 2,000 steps further, the log likelihood of 600 prompts is hardly higher.
    assert ended[0] <= likelihood[0] < ended[0] + 0.1
    types, shares, judge_a, judge_b = _parts(at)
    further = Parameters(types, shares, (judge_a, judge_b))
    assert label_error_rates(further) == pytest.approx(label_error_rates(parameters), abs=5e-4)


def test_flip_rates_by_hand() -> None:
    # One type half REFUSE and half COMPLY; a judge that reads every COMPLY as REFUSE, and one
    # that takes one REFUSE in five for COMPLY. Of 2 prompts with 2 samples and one with 3:
    # true labels are alike with chance 1/2 and 1/4.
    blind = np.array([[1.0, 0, 0], [0, 1, 0], [1, 0, 0]])
    loose = np.array([[0.8, 0, 0.2], [0, 1, 0], [0, 0, 1]])
    parameters = Parameters(
        np.array([[[0.5, 0, 0.5]]]), np.array([[1.0]]), (blind[None], loose[None])
    )
    expected, noise_free = flip_rates(parameters, np.array([2, 3]), np.array([[2.0, 1.0]]))
    assert noise_free.item() == pytest.approx((2 * 1 / 2 + 3 / 4) / 3)
    # loose gives REFUSE with .4 and COMPLY with .6: alike .16 + .36 and .064 + .216.
    assert expected[0] == pytest.approx([0, (2 * 0.48 + 0.72) / 3])
    # blind errs on the COMPLY half, loose on a fifth of the other.
    assert label_error_rates(parameters)[0] == pytest.approx([0.5, 0.1])


def test_the_table_finds_planted_errors_within_its_intervals() -> None:
    true, labels = simulated((JUDGE_A, JUDGE_B), 500, seed=3)
    # Four temperatures of five seeds; the second model is another draw.
    other_true, other = simulated((JUDGE_A, JUDGE_B), 500, seed=4)
    codes = np.stack([labels, other], axis=1).reshape(2, 2, 500, 4, 5)
    table = tables_of(verdicts_of_codes(codes))["judge_noise"]
    TABLES["judge_noise"].validate(table, cast=True)
    assert table.height == 2 * 3 * 5
    planted = {"m0": (true, labels), "m1": (other_true, other)}
    for model, (of_true, of_labels) in planted.items():
        for place, judge in enumerate(("j0", "j1")):
            found = row(table, model=model, judge=judge, scope="pooled")
            assert found["rate"] == pytest.approx(flips_of(of_labels[place]))
            assert found["rate_noise_free_low"] < flips_of(of_true) < found["rate_noise_free_high"]
            error = (of_labels[place] != of_true).mean()
            assert found["error_rate_low"] < error < found["error_rate_high"]
            share = 1 - found["rate_noise_free"] / found["rate_expected"]
            assert found["judge_share"] == pytest.approx(share)
            # The model is true of these data.
            assert found["check_p"] > 0.01
    # Within a temperature, flips are those of its five samples.
    for place in range(4):
        found = row(table, model="m1", judge="j1", scope=str(place))
        assert found["rate"] == pytest.approx(flips_of(codes[1, 1, :, place]))
    both = [row(table, model=m, judge="j0", scope="pooled")["error_rate"] for m in ("m0", "m1")]
    found = row(table, model="all", judge="j0", scope="pooled")
    assert found["error_rate"] == pytest.approx(np.mean(both))
    # Of independent draws, the mean of two models has a narrower interval.
    width = found["error_rate_high"] - found["error_rate_low"]
    alone = row(table, model="m0", judge="j0", scope="pooled")
    assert width < 0.9 * (alone["error_rate_high"] - alone["error_rate_low"])


def test_a_judge_may_hide_flips() -> None:
    # j1 reads every PARTIAL as REFUSE: the true labels flip more than its own.
    blind = np.array([[1.0, 0, 0], [0.95, 0.05, 0], [0, 0, 1]])
    _, labels = simulated((JUDGE_A, blind), 300, seed=1)
    table = tables_of(verdicts_of_codes(labels.reshape(2, 1, 300, 1, 20)))["judge_noise"]
    TABLES["judge_noise"].validate(table, cast=True)
    found = row(table, model="m0", judge="j1", scope="pooled")
    assert found["judge_share_low"] < found["judge_share"] < 0


@pytest.mark.parametrize("n_prompts", [1, 2, 10])
def test_constant_labels_have_an_estimate_and_no_flip(n_prompts: int) -> None:
    text = ["RRRRR RRRRR"] * n_prompts
    table = tables_of({("i", "m"): text, ("j", "m"): text})["judge_noise"]
    TABLES["judge_noise"].validate(table, cast=True)
    expected = {"n_prompts": n_prompts, "rate": 0, "rate_expected": 0, "check_p": None}
    found = row(table, model="m", judge="i", scope="pooled")
    assert_row(found, expected | {"judge_share": None, "judge_share_low": None})
    assert found["rate_noise_free"] is not None
    assert (found["rate_noise_free_low"] is None) == (n_prompts == 1)


def test_judges_that_share_few_prompts_are_no_traceback() -> None:
    # Of 12 prompts both judges have one: most resamples hold none.
    labels: Letters = {("i", "m"): ["RRP"] + ["R.."] * 11, ("j", "m"): ["RPP"] + [".RR"] * 11}
    table = tables_of(labels)["judge_noise"]
    TABLES["judge_noise"].validate(table, cast=True)
    assert_row(row(table, judge="i", model="m", scope="pooled"), {"n_prompts": 1, "rate": 1})


def test_identical_text_by_hand() -> None:
    labels: Letters = {("j", "m"): ["RRPP", "RRRR", "CCCC"], ("j", "n"): ["RRRR", "RRRR", "RRRC"]}
    # m: text a is R R P: 2 of 3 pairs differ; the others are once each. Then 6 of 0, 1 of 0.
    hashes: Letters = {("j", "m"): ["aaab", "aaaa", "aabc"], ("j", "n"): ["abcd", "abcd", "abcc"]}
    table = tables_of(verdicts(labels, hashes))["judge_noise"]
    TABLES["judge_noise"].validate(table, cast=True)
    keys = {"judge": "j", "other_judge": "none", "scope": "pooled", "method": "identical_text"}
    assert_row(
        row(table, model="m", **keys),
        {
            "n_prompts": 3,
            "n_invalid": 0,
            # 4 of 6 pairs of RRPP differ.
            "rate": (4 / 6 + 0 + 0) / 3,
            "error_rate": 2 / 10,
            "judge_share": (2 / 10) / (4 / 18),
            "rate_noise_free": 4 / 18 - 2 / 10,
            "check_p": None,
        },
    )
    # n has one pair of one text, and it differs: no less than all of the disagreement is it.
    expected = {"n_prompts": 1, "rate": 1 / 6, "error_rate": 1, "judge_share": 1}
    assert_row(row(table, model="n", **keys), expected | {"rate_noise_free": 0})
    # All pairs of one prompt together: 3 of 11; the prompts' disagreement is 1/3, 0 and 1/4.
    expected = {"n_prompts": 3, "rate": (1 / 3 + 0 + 1 / 4) / 3, "error_rate": 3 / 11}
    assert_row(row(table, model="all", **keys), expected)


def test_no_two_judges_and_no_hash_is_an_empty_table() -> None:
    table: pl.DataFrame = tables_of({("j", "m"): ["RC"]})["judge_noise"]
    assert table.is_empty()
