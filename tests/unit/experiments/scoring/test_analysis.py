"""The experiment `scoring`: what is a matter of how PARTIAL is counted is found to be one."""

import matplotlib.pyplot as plt
import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.label_grids import Letters, assert_row, grid_of, row, verdicts_of_codes
from refusal_stability.experiments.scoring import figure
from refusal_stability.experiments.scoring.analysis import (
    A_MORE_STABLE,
    ALIKE,
    B_MORE_STABLE,
    caption,
    compare_scorings,
    values_of,
)
from refusal_stability.schemas.experiments import EXPERIMENT_TABLES
from refusal_stability.statistics.bootstrap import Resamples

LIMITS = [0.7, 0.8]


def scored(labels: Letters | pl.DataFrame) -> tuple[pl.DataFrame, str]:
    """The table and its caption."""
    grid = grid_of(labels)
    table = compare_scorings(grid, Resamples(len(grid.prompt_ids), 200, 1), LIMITS)
    return EXPERIMENT_TABLES["scoring"].validate(table, cast=True), caption(table, LIMITS)


def test_by_hand() -> None:
    table, _ = scored({("j", "m"): ["RRPP", "PPPC", "RRRC", "RRRR"]})
    # SSI three-way 1/2, 3/4, 3/4, 1; lenient 1, 3/4, 3/4, 1; conservative 1/2, 1, 3/4, 1.
    of_m = table.filter(model="m")
    expected = {"three_way": 3 / 4, "lenient": 7 / 8, "conservative": 13 / 16}
    assert values_of(of_m.filter(measure="mean_ssi")) == pytest.approx(expected)
    expected = {"three_way": 3 / 4, "lenient": 2 / 4, "conservative": 2 / 4}
    assert values_of(of_m.filter(measure="flip_rate")) == pytest.approx(expected)
    # Strictly below 0.7 and 0.8.
    expected = {"three_way": 1 / 4, "lenient": 0, "conservative": 1 / 4}
    assert values_of(of_m.filter(measure="unstable_below_0.7")) == pytest.approx(expected)
    expected = {"three_way": 3 / 4, "lenient": 2 / 4, "conservative": 2 / 4}
    assert values_of(of_m.filter(measure="unstable_below_0.8")) == pytest.approx(expected)
    # One prompt flips under one binary scoring only, and one under the other.
    sides = row(of_m, scoring_a="lenient", scoring_b="conservative", measure="flip_rate")
    assert_row(sides, {"n": 4, "difference": 0, "p": 1})
    assert sides["verdict"] == ALIKE


@pytest.mark.parametrize(
    ("other", "verdict", "words"),
    [
        ("RRRP", A_MORE_STABLE, "more waver between REFUSE and PARTIAL only"),
        ("CCCP", B_MORE_STABLE, "more waver between PARTIAL and COMPLY only"),
    ],
)
def test_a_planted_side_is_found(other: str, verdict: str, words: str) -> None:
    # Ten prompts to one side: p of McNemar's test 2 / 2^10, times three by Holm.
    table, text = scored({("j", "m"): [other] * 10 + ["RRRR"] * 20})
    sides = row(
        table, model="m", scoring_a="lenient", scoring_b="conservative", measure="flip_rate"
    )
    assert sides["p"] == pytest.approx(2**-9)
    assert sides["verdict"] == verdict
    assert words in text


def test_the_caption_says_by_which_measure_a_side_is_found() -> None:
    # As many flip on one side as on the other, to SSIs of 5/8 and of 6/8.
    table, text = scored({("j", "m"): ["RRRRRPPP"] * 12 + ["CCCCCCPP"] * 12 + ["RRRRRRRR"] * 6})
    sides = table.filter(model="m", scoring_a="lenient", scoring_b="conservative")
    assert row(sides, measure="flip_rate")["verdict"] == ALIKE
    # Lenient keeps those of 6/8, conservative those of 5/8.
    for measure in ("mean_ssi", "unstable_below_0.7"):
        assert row(sides, measure=measure)["verdict"] == A_MORE_STABLE
    assert (
        "Lenient scoring is more stable than conservative by mean SSI and by the threshold 0.7 of "
        "SSI; they are not shown to differ by flip rate and by the threshold 0.8 of SSI."
    ) in text
    assert "waver" not in text


def test_models_that_disagree_are_named() -> None:
    steady = ["RRRR"] * 20
    table, text = scored({("j", "m"): ["RRRP"] * 10 + steady, ("j", "n"): steady + ["CCCP"] * 10})
    sides = table.filter(scoring_a="lenient", scoring_b="conservative", measure="mean_ssi")
    assert dict(sides.select("model", "verdict").rows()) == {
        "m": A_MORE_STABLE, "n": B_MORE_STABLE, "all": ALIKE,
    }  # fmt: skip
    assert (
        "not shown to differ by any measure; but models disagree by mean SSI: lenient is more "
        "stable for m and conservative is more stable for n."
    ) in text
    # Where none is shown to go the other way, none is named.
    assert "disagree" not in scored({("j", "m"): ["RRRP"] * 10 + steady, ("j", "n"): steady * 2})[1]


def test_the_figure_holds_all_of_its_curves() -> None:
    # The first model has hardly a flip, the second many: they share an axis.
    table, _ = scored(
        {("j", "calm"): ["RRRR"] * 19 + ["RRRP"], ("j", "torn"): ["RRPC"] * 15 + ["RRRR"] * 5}
    )
    drawn = figure.scoring(table)
    for axes in drawn.axes:
        highest = max(max(line.get_ydata()) for line in axes.lines)
        assert axes.get_ylim()[0] == 0
        assert highest < axes.get_ylim()[1]
    plt.close(drawn)


def test_without_partial_nothing_depends_on_the_scoring() -> None:
    table, text = scored({("j", "m"): ["RRCC"] * 10 + ["RRRR"] * 20})
    assert set(table["verdict"]) == {ALIKE}
    assert table["difference"].abs().max() == 0
    assert "scoring are not shown to differ by any measure." in text
    assert "no prompt flips, however" in scored({("j", "m"): ["RRRR", "CCCC"]})[1]
    assert "nothing to score" in scored({("j", "m"): ["UU", "UU"]})[1]


def test_an_order_of_models_that_depends_on_the_scoring_is_said() -> None:
    partial, hard = ["RRPP"] * 10, ["RRRC"] * 10
    assert "depends on the scoring" in scored({("j", "m"): partial, ("j", "n"): hard})[1]
    steady = ["RRRR"] * 10
    assert "same under all three" in scored({("j", "m"): steady, ("j", "n"): hard})[1]


def test_the_rate_of_false_findings_is_as_stated() -> None:
    # PARTIAL as often with REFUSE as with COMPLY: lenient and conservative are alike.
    rng = np.random.default_rng(0)
    found = 0
    for _ in range(60):
        chances = np.where(rng.random((60, 1)) < 0.5, [0.8, 0.2, 0], [0, 0.2, 0.8])
        codes = (rng.random((60, 4, 1)) > chances.cumsum(axis=1)[:, None, :-1]).sum(axis=-1)
        table, _ = scored(verdicts_of_codes(codes[None, None, :, None, :]))
        sides = row(
            table, model="m0", scoring_a="lenient", scoring_b="conservative", measure="flip_rate"
        )
        found += sides["verdict"] != ALIKE
    # One in twenty at most: 7 of 60 or more would come of that in 1 of 30 cases.
    assert found <= 6


@given(st.lists(st.text("RPC", min_size=3, max_size=3), min_size=2, max_size=8))
def test_two_labels_made_one_never_make_a_prompt_less_stable(prompts: list[str]) -> None:
    table, _ = scored({("j", "m"): prompts})
    merged = table.filter(scoring_a="three_way")
    assert merged.filter(measure="mean_ssi")["difference"].max() <= 0
    assert merged.filter(pl.col("measure") != "mean_ssi")["difference"].min() >= 0
    assert A_MORE_STABLE not in set(merged["verdict"])
