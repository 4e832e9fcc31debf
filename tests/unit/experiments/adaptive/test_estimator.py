"""The experiment `adaptive`: who is settled, what the audit corrects, and what is saved."""

import numpy as np
import polars as pl
import pytest

from helpers.label_grids import Letters, grid_of, row, verdicts_of_codes
from refusal_stability.experiments.adaptive.analysis import adaptive, caption
from refusal_stability.experiments.adaptive.estimator import (
    MEASURES,
    audited,
    measure_of,
    of_first_phase,
    settled,
    two_phase,
)
from refusal_stability.schemas.experiments import EXPERIMENT_TABLES

R, P, C, UNKNOWN, NONE = 0, 1, 2, 3, 255


def no_hours(*_: object) -> tuple[None, None]:
    return None, None


def hours_by_reply(
    _judge: str, _models: list[str], prompts: int, seeds: int
) -> tuple[float, float]:
    """An hour a prompt and seed, on two GPUs."""
    return float(prompts * seeds), 2.0 * prompts * seeds


def replayed(labels: Letters | pl.DataFrame, first: int, audit: float = 0.5, hours=no_hours):
    grid = grid_of(labels)
    table = adaptive(grid, grid.seeds[:first], audit, 0, hours, replayed=True)
    table = EXPERIMENT_TABLES["adaptive"].validate(table, cast=True)
    return table, caption(table, first, len(grid.seeds))


def test_a_prompt_is_settled_when_its_valid_labels_are_alike() -> None:
    labels = [[[R, R]], [[R, C]], [[R, UNKNOWN]], [[UNKNOWN, UNKNOWN]], [[NONE, C]]]
    assert settled(np.array(labels)).tolist() == [True, False, True, False, True]


def test_the_audit_is_a_random_share_of_the_settled_and_the_same_each_time() -> None:
    is_settled = np.arange(400) % 4 > 0
    drawn = audited(is_settled, 0.2, 7)
    assert drawn.sum() == 60
    assert not (drawn & ~is_settled).any()
    assert (drawn == audited(is_settled, 0.2, 7)).all()
    assert (drawn != audited(is_settled, 0.2, 8)).any()
    # Few are too few: of 30, not 2 but 10, and of 4 all.
    assert audited(np.ones(30, dtype=bool), 0.05, 0).sum() == 10
    assert audited(np.ones(4, dtype=bool), 0.05, 0).sum() == 4
    assert audited(np.zeros(4, dtype=bool), 0.05, 0).sum() == 0
    # Every settled prompt has the same chance.
    often = sum(audited(is_settled, 0.2, seed) for seed in range(500)) / 500
    assert often[is_settled].min() > 0.1
    assert often[is_settled].max() < 0.3


def test_by_hand() -> None:
    # Two prompts are not settled, with SSI 1/2 and 3/4; of four settled ones two are audited, with
    # SSI 1 and 3/4. So those lose 1/8 on the average.
    is_settled = np.array([False, False, True, True, True, True])
    first = np.array([0.5, 0.5, 1, 1, 1, 1])
    full = np.array([0.5, 0.75, 1, 0.75, np.nan, np.nan])
    found = two_phase(first, full, is_settled, "mean_ssi")
    assert found["naive"].value == pytest.approx((0.5 + 0.75 + 4) / 6)
    assert found["bias"].value == pytest.approx(4 / 6 / 8)
    assert found["corrected"].value == pytest.approx((0.5 + 0.75 + 4 * 7 / 8) / 6)
    # What is taken has the squared deviations 81 / 64 ... of 5.25 / 6 = 7 / 8: mean 0.0365; the
    # changes 0 and -1/4 the mean -1/8, square 1/32, times 2/3; and their covariance
    # 2/3 x -1/8 x (1 - 7/8).
    taken = (3 * 3 + 1 + 4) / 64 / 6
    full_variance = taken + 1 / 32 * 2 / 3 - (1 / 12) ** 2 - 2 * 2 / 3 / 8 / 8
    audit = (2 / 3) ** 2 * (1 / 32 - 1 / 64) * (1 / 2 - 1 / 4)
    ratio = (1 + audit / (full_variance / 6)) ** 0.5
    assert found["width_ratio"] == pytest.approx(ratio)


def test_changes_that_were_not_seen_may_be_there() -> None:
    is_settled = np.arange(100) >= 10
    full = np.where(is_settled & (np.arange(100) >= 40), np.nan, 1.0 * ~is_settled)
    found = two_phase(1.0 * ~is_settled, full, is_settled, "flip_rate")
    assert found["corrected"].value == 0.1
    # Of 30 audited none flips: up to 3.84 / 33.84 of 90 in 100 may.
    assert found["bias"].low == pytest.approx(-0.9 * 3.8415 / 33.8415, abs=1e-4)
    assert found["corrected"].high > 0.2
    assert found["corrected"].low > 0.04


def test_nothing_is_spared_where_all_seeds_come_first() -> None:
    table, text = replayed({("j", "m"): ["RRP", "RRR"] * 6}, first=3)
    assert "there is nothing to spare" in text
    assert table["corrected"].to_list() == table["full"].to_list()
    assert table["saved"].to_list() == [0] * 5


def test_an_audit_of_all_is_the_answer_of_all_labels() -> None:
    labels = {("j", "m"): ["RRRR RRPR", "RRRR RRRR", "RCRR RRRR", "PPPP PPCP"] * 5}
    table, _ = replayed(labels, first=2, audit=1.0)
    for one in table.iter_rows(named=True):
        assert one["corrected"] == pytest.approx(one["full"]), one["measure"]
        assert one["width_ratio"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ({("j", "m"): ["UUU UUU"] * 3}, "No prompt of m under j has a valid label"),
        ({("j", "m"): ["RRR"] * 3}, "3 of 3 prompts of m under j are settled"),
        ({("j", "m"): ["RCR"] * 3}, "0 of 3 prompts"),
        ({("j", "m"): ["R R"] * 3}, "there is nothing to spare"),
        ({("j", "m"): ["RUR"] * 3, ("j", "n"): ["RRR"] * 3}, "3 of 3"),
    ],
)
def test_what_is_little_is_no_error(labels: Letters, said: str) -> None:
    seeds = len(labels["j", "m"][0].split()[0])
    assert said in replayed(labels, first=min(2, seeds))[1]


def test_hours_are_those_of_both_phases_and_of_the_full_design_of_equal_width() -> None:
    labels = {("j", "m"): ["RRRR"] * 30 + ["RCRC"] * 10}
    table, text = replayed(labels, first=2, audit=0.5, hours=hours_by_reply)
    found = row(table, measure="refusal_rate")
    # 40 x 2, and 10 and half of 30 x 2.
    assert (found["replies"], found["replies_full"]) == (130, 160)
    assert (found["hours"], found["gpu_hours"]) == (130, 260)
    # No settled prompt changes, so the interval is as wide as with all.
    assert found["replies_equal_width"] == pytest.approx(160)
    assert found["gpu_hours_equal_width"] == 320
    assert found["saved"] == pytest.approx(30 / 160)
    assert "19% fewer for the refusal rate" in text
    assert text.endswith("Mean SSI took 260 GPU-hours, and would take 320 in full.")


def drawn(rng: np.random.Generator, prompts: int) -> np.ndarray:
    """Labels at T = 0.5 and 1, 5 seeds, of prompts most of which are nearly sure."""
    logs = np.log(rng.dirichlet((0.25, 0.06, 0.04), prompts) + 1e-300)
    noise = rng.gumbel(size=(prompts, 2, 5, 3))
    return (logs[:, None, None] / np.array([0.5, 1.0])[:, None, None] + noise).argmax(axis=-1)


@pytest.mark.parametrize("measure", MEASURES)
def test_the_estimate_has_no_bias_and_its_interval_covers(measure: str) -> None:
    truth = measure_of(drawn(np.random.default_rng(1), 200_000), measure).mean()
    naive, corrected, inside = [], [], 0
    for number in range(600):
        labels = drawn(np.random.default_rng([2, number]), 200)
        of_first = labels[..., :2]
        is_settled = settled(of_first)
        again = ~is_settled | audited(is_settled, 0.3, number)
        full = np.where(again, measure_of(labels, measure), np.nan)
        taken = of_first_phase(of_first, is_settled, measure)
        found = two_phase(taken, full, is_settled, measure)
        naive.append(found["naive"].value)
        corrected.append(found["corrected"].value)
        inside += found["corrected"].low <= truth <= found["corrected"].high
    # 0.95 give or take 0.009.
    assert 0.92 <= inside / 600 <= 0.99
    error = np.std(corrected) / 600**0.5
    assert np.mean(corrected) == pytest.approx(truth, abs=3.5 * error)
    if measure != "refusal_rate":
        # What takes settled prompts for stable is off.
        assert abs(np.mean(naive) - truth) > 5 * error


def test_a_real_run_has_only_the_labels_that_were_asked_for() -> None:
    labels = drawn(np.random.default_rng(3), 60)
    is_settled = settled(labels[..., :2])
    again = ~is_settled | audited(is_settled, 0.3, 0)
    spared = np.where(again[:, None, None] | (np.arange(5) < 2), labels, -1)
    asked, every = (grid_of(verdicts_of_codes(of[None, None])) for of in (spared, labels))
    (table, of_all) = (
        adaptive(grid, grid.seeds[:2], 0.3, 0, no_hours, replayed=full)
        for grid, full in ((asked, False), (every, True))
    )
    same = [name for name in table.columns if not name.startswith("full")]
    assert table.select(same).equals(of_all.select(same))
    assert table["full"].is_null().all()
