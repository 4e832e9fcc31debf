"""The experiment `compare`: what differs is found, what does not is not."""

import matplotlib.pyplot as plt
import numpy as np
import polars as pl
import pytest

from helpers.label_grids import Letters, assert_row, prompts_of, row, verdicts, verdicts_of_codes
from refusal_stability.core.errors import InvalidVerdictsError
from refusal_stability.experiments.compare import figure
from refusal_stability.experiments.compare.analysis import caption
from refusal_stability.schemas.experiments import EXPERIMENT_TABLES
from refusal_stability.schemas.stages import Verdicts
from refusal_stability.statistics.paired_responses import ALL, compare

Table = pl.DataFrame


def compared(table: Table | Letters, limit: float = 1.0) -> tuple[Table, Table]:
    """Compare the first two models of some labels."""
    table = verdicts(table) if isinstance(table, dict) else table
    names = table["model"].unique(maintain_order=True).to_list()[:2]
    sides = [
        {
            judge: Verdicts.validate(
                of_judge.with_columns(
                    **{name: pl.lit(None) for name in ("reason", "p_refuse", "p_partial")},
                    p_comply=None,
                ).select(Verdicts.column_names()),
                cast=True,
            )
            for (judge,), of_judge in table.filter(model=name)
            .partition_by("judge", as_dict=True, maintain_order=True)
            .items()
        }
        for name in names
    ]
    tables = compare(*sides, tuple(names), prompts_of(table), (200, 1), limit)
    for name, result in zip(("compare", "compare_prompts"), tables, strict=True):
        EXPERIMENT_TABLES[name].validate(result, cast=True)
    return tables


# Prompts p000 and p001 are of category x, p002 has none.
LABELS: Letters = {("j", "m"): ["RRRR", "RRRP", "RRCC"], ("j", "n"): ["RRRR", "RRRR", "RCCC"]}


def test_by_hand() -> None:
    table, prompts = compared(LABELS)
    # SSI 1, 3/4, 1/2 and 1, 1, 3/4.
    ssi = row(table, category=ALL, measure="mean_ssi")
    assert_row(ssi, {"n": 3, "value_a": 3 / 4, "value_b": 11 / 12, "difference": -1 / 6})
    # Pairs that differ, of 6: 0, 3, 4 and 0, 0, 3.
    disagreement = row(table, category=ALL, measure="pair_disagreement")
    assert_row(disagreement, {"value_a": 7 / 18, "value_b": 3 / 18, "difference": 4 / 18})
    hard = row(table, category=ALL, measure="hard_flip_rate")
    assert_row(hard, {"value_a": 1 / 3, "value_b": 1 / 3, "difference": 0, "p": 1})
    of_x = row(table, category="x", measure="flip_rate")
    assert_row(of_x, {"n": 2, "value_a": 1 / 2, "value_b": 0, "difference": 1 / 2})
    assert row(table, category="(none)", measure="flip_rate")["n"] == 1
    # Shares move by 0, 1/4 and 1/4.
    assert prompts["prompt_id"].to_list() == ["p001", "p002", "p000"]
    assert prompts["change"].to_list() == [1 / 4, 1 / 4, 0]


def test_only_responses_that_both_were_asked_for_are_compared() -> None:
    # The first has a second temperature and a prompt more; the second lacks a seed of p001.
    labels: Letters = {
        ("j", "m"): ["RRR CCC", "RRP CCC", "CCC CCC"],
        ("j", "n"): ["RRR ...", "RR. ...", "... ..."],
    }
    table, prompts = compared(labels)
    assert_row(
        row(table, category=ALL, measure="mean_ssi"), {"n": 2, "value_a": 1, "difference": 0}
    )
    assert prompts.select("n_a", "n_b").rows() == [(3, 3), (2, 2)]


def test_a_judge_of_one_side_only_is_left_out() -> None:
    table, _ = compared({**LABELS, ("other", "m"): ["RRRR", "RRRR", "RRRR"]})
    assert table["judge"].unique().to_list() == ["j"]


def test_nothing_in_common_is_no_row_and_said() -> None:
    tables = compared({("j", "m"): ["RR", ".."], ("j", "n"): ["..", "RR"]})
    assert [table.height for table in tables] == [0, 0]
    assert "nothing to compare" in caption(*tables, ("m", "n"))
    assert "There is one model, m" in caption(*tables, ("m", None))


def test_too_many_invalid_verdicts_are_an_error() -> None:
    with pytest.raises(InvalidVerdictsError, match="judge j on model n"):
        compared({("j", "m"): ["RR", "RR"], ("j", "n"): ["RU", "RR"]}, limit=0.01)


def test_prompts_without_a_valid_label_have_no_difference() -> None:
    table, prompts = compared({("j", "m"): ["UU"], ("j", "n"): ["RR"]})
    assert table["difference"].null_count() == table.height
    assert prompts.is_empty()
    assert caption(table, prompts, ("m", "n")) == (
        "No prompt has a valid label of j for both m and n, so there is nothing to compare."
    )


def study(rng: np.random.Generator, shift: float) -> Table:
    """50 prompts, 5 seeds, two models; the second refuses more by ``shift`` where it may comply."""
    refusing = rng.beta(2, 1, size=50)
    chances = np.stack([refusing, refusing + shift * (1 - refusing)])
    drawn = rng.random((2, 50, 1, 5)) < chances[:, :, None, None]
    return verdicts_of_codes(np.where(drawn, 0, 2)[None])


def found(shift: float, studies: int) -> float:
    """The share of studies in which any measure differs, and that say so."""
    rng = np.random.default_rng(1)
    number = 0
    for _ in range(studies):
        table, prompts = compared(study(rng, shift))
        differs = (table.filter(category=ALL)["p_holm"] < 0.05).any()
        text = caption(table, prompts, ("m0", "m1"))
        assert ("are not shown to differ (" in text) is not differs
        number += differs
    return number / studies


def test_a_planted_difference_is_found_and_a_planted_null_is_not() -> None:
    # Of equals one in twenty at most; 6 of 40 or more would come of that in 1 of 70 cases.
    assert found(0.0, studies=40) <= 5 / 40
    assert found(0.5, studies=20) >= 0.95


def test_an_interval_without_width_is_not_taken_for_exact() -> None:
    alike = compared({("j", "m"): ["RRRR"] * 6, ("j", "n"): ["RRRR"] * 6})
    assert (
        "a difference of 0.000 [0.000, 0.000], the same for each of 6 prompts, so that the "
        "interval cannot show more."
    ) in caption(*alike, ("m", "n"))
    heading = figure.compare(alike[0]).legends[0].get_title().get_text()
    assert "no width: all prompts differ alike" in heading
    differ, _ = compared(study(np.random.default_rng(0), shift=0.6))
    heading = figure.compare(differ).legends[0].get_title().get_text()
    assert "no width" not in heading
    plt.close("all")


def test_the_caption_says_what_differs_by_how_much_and_where() -> None:
    table, prompts = compared(study(np.random.default_rng(0), shift=0.6))
    text = caption(table, prompts, ("m0", "m1"))
    ssi = row(table, category=ALL, measure="mean_ssi")
    assert f"a difference of {ssi['difference']:.3f} [{ssi['difference_low']:.3f}" in text
    assert "refusal rate" in text
    assert prompts["prompt_id"][0] in text
