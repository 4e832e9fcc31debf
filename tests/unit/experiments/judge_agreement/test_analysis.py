"""The experiment `judge_agreement`: a sample stands for all responses, and its intervals hold."""

from collections import Counter

import matplotlib.pyplot as plt
import numpy as np
import polars as pl
import pytest

from helpers.label_grids import Letters, assert_row, row, verdicts, verdicts_of_codes
from refusal_stability.experiments.judge_agreement import figure
from refusal_stability.experiments.judge_agreement.analysis import (
    caption,
    compare_judges,
    labelled,
    sampled_responses,
)
from refusal_stability.experiments.judge_agreement.sample import draw, shares, strata_of
from refusal_stability.schemas.experiments import EXPERIMENT_TABLES
from refusal_stability.statistics.bootstrap import Resamples
from refusal_stability.statistics.judge_agreement import STATISTICS
from refusal_stability.statistics.run_arrays import Judged


def judged_of(labels: Letters | pl.DataFrame) -> Judged:
    table = verdicts(labels) if isinstance(labels, dict) else labels
    return table.partition_by("judge", "model", as_dict=True, maintain_order=True)


def compared(
    judged: Judged, size: int, resamples: int = 200
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    responses = strata_of(judged)
    sample = labelled(responses, draw(responses, size), judged)
    table, confusion = compare_judges(sample, Resamples(len(sample.prompt_ids), resamples, 1))
    made = {
        "judge_agreement": table,
        "judge_agreement_confusion": confusion,
        "judge_agreement_responses": sampled_responses(sample),
    }
    return tuple(EXPERIMENT_TABLES[name].validate(of, cast=True) for name, of in made.items())


def test_a_stratum_gets_by_the_root_of_its_size_and_two_at_least() -> None:
    # Roots 30, 10 and 1; the third has one response only.
    assert shares([900, 100, 1], 41) == [30, 10, 1]
    assert shares([900, 4], 10) == [8, 2]
    # No more than there are.
    assert shares([3, 2], 100) == [3, 2]
    assert shares([900, 900, 900], 2) == [1, 1, 0]


def test_the_sample_is_always_the_same_and_says_nothing_by_its_order() -> None:
    judged = judged_of({("a", "m"): ["RRRRPC"] * 30})
    drawn = draw(strata_of(judged), 40)
    assert drawn.equals(draw(strata_of(judged).reverse(), 40))
    # A larger sample holds a smaller one: what a person has labelled is not lost.
    assert drawn.join(
        draw(strata_of(judged), 90), on=drawn.columns, how="anti", nulls_equal=True
    ).is_empty()
    assert drawn.height == 40
    assert drawn.unique().height == 40
    # 120, 30 and 30 responses: roots as 2 to 1 to 1.
    assert Counter(drawn["stratum"]) == {"REFUSE": 20, "PARTIAL": 10, "COMPLY": 10}
    assert not drawn.equals(drawn.sort("stratum", maintain_order=True))


def test_all_responses_are_the_whole_truth() -> None:
    labels = {
        ("a", "m"): ["RR", "RP", "CU"],
        ("b", "m"): ["RR", "PP", "CR"],
    }
    table, confusion, responses = compared(judged_of(labels), size=100)
    # Of 5 responses valid under both, 4 agree; kappa (4/5 - p_e) / (1 - p_e), where the judges have
    # 3, 1, 1 and 2, 2, 1 labels: p_e = (3 * 2 + 1 * 2 + 1 * 1) / 25 = 9 / 25.
    of_all = row(table, model="all")
    expected = {"n": 5, "n_invalid": 1, "agreement": 4 / 5, "kappa": (20 - 9) / (25 - 9)}
    assert_row(of_all, expected)
    assert_row(
        row(confusion, model="m", label_a="REFUSE", label_b="PARTIAL"), {"n": 1, "share": 1 / 5}
    )
    # The response on which they differ comes first; an invalid label differs from nothing.
    first = responses.filter("differ")
    assert responses.height == 12
    assert first["prompt_id"].unique().to_list() == ["p001"]
    assert first["label"].to_list() == ["REFUSE", "PARTIAL"]
    assert responses["differ"].to_list() == [True] * 2 + [False] * 10


def test_strata_count_as_much_as_the_run_has_of_them() -> None:
    # The judges agree on each REFUSE of a, and on no PARTIAL: 900 to 100 responses. A sample of 40
    # has 30 and 10, of which alone agreement would be 0.75.
    labels = {("a", "m"): ["R" * 9 + "P"] * 100, ("b", "m"): ["R" * 10] * 100}
    table, _, responses = compared(judged_of(labels), size=40)
    of_m = row(table, model="m")
    assert_row(of_m, {"n": 40, "agreement": 0.9, "kappa": 0})
    assert responses.filter("differ").height == 20


def test_a_judge_may_label_less_than_the_sample() -> None:
    judged = judged_of({("a", "m"): ["RRPC"] * 20, ("b", "m"): ["RRPC"] * 20})
    judged["b", "m"] = judged["b", "m"].filter(pl.col("seed") < 3)
    table, _, _ = compared(judged, size=80)
    # The responses of label REFUSE, which are 40.
    of_m = row(table, model="m")
    assert_row(of_m, {"n": 40, "agreement": 1, "agreement_high": 1})
    assert 0 < of_m["agreement_low"] < 1
    assert of_m["kappa"] is None


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ({("a", "m"): ["RP", "PP"]}, "No two judges have labelled the 4 sampled responses"),
        (
            {("a", "m"): ["UU", "UU"], ("b", "m"): ["UU", "UU"]},
            "Of the 4 sampled responses none has a valid label of two judges",
        ),
        ({("a", "m"): ["RR"], ("b", "m"): ["RR"]}, "agree on 100.0%"),
    ],
)
def test_where_there_is_nothing_to_compare_it_is_said(labels: Letters, said: str) -> None:
    table, confusion, responses = compared(judged_of(labels), size=10)
    assert said in caption(table, responses)
    plt.close(figure.draw(table, confusion))


def simulated(rng: np.random.Generator, error: float) -> np.ndarray:
    """Labels of two judges on 3 models, 150 prompts and 10 replies each; the second one errs."""
    shape = (3, 150, 1, 10)
    refuses = rng.beta(0.6, 0.2, size=(3, 150, 1, 1))
    draws = rng.random(shape)
    true = np.where(draws < refuses, 0, np.where(draws < refuses + (1 - refuses) * 0.6, 1, 2))
    # Errors come together on hard prompts, and more often where the reply is no refusal.
    hard = rng.beta(0.5, 2.0, size=(3, 150, 1, 1)) / 0.2
    wrong = rng.random(shape) < np.minimum(1, hard * error * np.where(true == 0, 1, 3))
    return np.stack([true, np.where(wrong, (true + rng.integers(1, 3, size=shape)) % 3, true)])


def coverage(error: float, runs: int, resamples: int) -> dict[str, tuple[float, float, float]]:
    """{statistic: its value in all studies, how often a sample's interval holds it, width}."""
    rng = np.random.default_rng(2)
    both, bounds = np.zeros((3, 3)), []
    for _ in range(runs):
        labels = simulated(rng, error)
        np.add.at(both, tuple(labels.reshape(2, -1)), 1)
        table, _, _ = compared(judged_of(verdicts_of_codes(labels)), 100, resamples)
        found = row(table, model="all")
        bounds.append([[found[f"{name}_{end}"] for end in ("low", "high")] for name in STATISTICS])
    low, high = np.moveaxis(np.array(bounds, dtype=float), -1, 0)
    found = {}
    for place, (name, statistic) in enumerate(STATISTICS.items()):
        truth = float(statistic(both))
        inside = (low[:, place] <= truth) & (truth <= high[:, place])
        found[name] = (truth, float(inside.mean()), float((high - low)[:, place].mean()))
    return found


def test_intervals_hold_the_truth_of_all_responses() -> None:
    found = coverage(error=0.05, runs=40, resamples=200)
    assert found["agreement"][0] == pytest.approx(0.925, abs=0.005)
    for name, (_, held, _) in found.items():
        assert held >= 0.875, name


def test_judges_who_label_alike_are_found_to() -> None:
    table, _, responses = compared(
        judged_of(verdicts_of_codes(simulated(np.random.default_rng(0), 0))), 100
    )
    of_all = row(table, model="all")
    assert_row(of_all, {"n": 100, "agreement": 1, "kappa": 1})
    # Wilson's lower bound of so many prompts.
    assert 0.94 < of_all["agreement_low"] < 0.97
    text = caption(table, responses)
    assert "No sampled response has two different valid labels" in text
    assert text.endswith("of judges that label all, tables/judge_agreement.csv has them all.")
