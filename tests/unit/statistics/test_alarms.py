"""Each alarm raised, not raised, and with the ids behind it."""

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from helpers.label_grids import Letters, assert_row, row, tables_of, verdicts, verdicts_of_codes
from refusal_stability.statistics.alarms import join_ids, split_ids

CALM: Letters = {("j", "m"): ["RR RR", "CC CC"], ("j", "n"): ["RR RR", "PP PP"]}


def alarm(table: pl.DataFrame | Letters, name: str, **arguments: Any) -> dict[str, Any]:
    return row(tables_of(table, **arguments)["alarms"], model="m", alarm=name)


def test_a_calm_run_raises_nothing() -> None:
    no_reply = pl.DataFrame({"prompt_id": []}, schema={"prompt_id": pl.String})
    table = verdicts(CALM, {key: ["aa aa", "aa aa"] for key in CALM})
    alarms = tables_of(table, truncated=[("m", no_reply)])["alarms"]
    names = {
        "invalid_verdicts",
        "systematic_failure",
        "missing_responses",
        "missing_cells",
        "shared_seeds",
        "identical_text_relabelled",
        "truncated_replies",
    }
    assert {(model, name) for model in "mn" for name in names} == set(
        alarms.select("model", "alarm").rows()
    )
    assert not alarms["raised"].any()
    assert alarms["n"].to_list() == [0] * alarms.height
    assert set(alarms["ids"]) == {""}


@pytest.mark.parametrize(("n_prompts", "raised"), [(99, True), (100, False)])
def test_more_than_one_percent_of_invalid_verdicts(n_prompts: int, raised: bool) -> None:
    found = alarm({("j", "m"): ["U", *["R"] * (n_prompts - 1)]}, "invalid_verdicts")
    expected = {"raised": raised, "n": 1, "of": n_prompts, "n_invalid": 1, "ids": "p000"}
    assert_row(found, expected)


def test_prompts_that_fail_systematically() -> None:
    # SSI 1/3, 2/4 (not below one half), and unknown.
    found = alarm({("j", "m"): ["RPC.", "RRPC", "UUUU"]}, "systematic_failure")
    assert_row(found, {"raised": True, "n": 1, "of": 2, "ids": "p000"})


def test_missing_responses_and_cells() -> None:
    # The cell (1, 2) is missing; of T = 0, seed 1, one response is.
    labels: Letters = {("j", "m"): [".C C.", "RR R.", "RR R."], ("j", "n"): ["RR RR"] * 3}
    responses, cells = (alarm(labels, f"missing_{what}") for what in ("responses", "cells"))
    assert_row(responses, {"raised": True, "n": 4, "of": 12, "ids": "p000 p001 p002"})
    assert_row(cells, {"raised": True, "n": 1, "of": 4, "ids": "T1_seed2"})
    of_n = tables_of(labels)["alarms"].filter(model="n")
    assert not of_n["raised"].any()


def test_one_text_with_two_labels() -> None:
    labels: Letters = {("j", "m"): ["RRP", "RPC", "RRU"]}
    # First prompt: aa is R twice, b is P. Second: aa is R and P. Third: aaa is R, R and invalid.
    hashes: Letters = {("j", "m"): ["aab", "aab", "aaa"]}
    found = alarm(verdicts(labels, hashes), "identical_text_relabelled")
    assert_row(found, {"raised": True, "n": 1, "of": 3, "ids": "p001"})


def test_texts_that_are_not_known_raise_no_alarm_and_have_no_row() -> None:
    alarms = tables_of(CALM)["alarms"]
    assert not {"identical_text_relabelled", "truncated_replies"} & set(alarms["alarm"])


def test_replies_cut_at_the_token_limit() -> None:
    cut = [("m", pl.DataFrame({"prompt_id": ["p001", "p001"]}))]
    found = alarm(CALM, "truncated_replies", truncated=cut)
    assert_row(found, {"raised": True, "n": 2, "of": 8, "ids": "p001"})


def test_shared_seeds_name_their_temperatures() -> None:
    rng = np.random.default_rng(7)
    chances = rng.beta(0.5, 0.5, size=(60, 1))
    alone, together = rng.random((60, 5)) < chances, rng.random((1, 5)) < chances
    codes = np.where(np.stack([alone, together], axis=1), 0, 2)[None, None]
    table = verdicts_of_codes(codes).with_columns(model=pl.lit("m"))
    found = alarm(table, "shared_seeds")
    assert_row(found, {"raised": True, "n": 1, "of": 2, "ids": "T1"})
    # By chance, independent draws may vary more than is expected: not enough for an alarm.
    independent = table.filter(temperature=0.0)
    assert tables_of(independent)["seed_effect"]["variance_inflation"].item() > 2
    found = alarm(independent, "shared_seeds")
    assert_row(found, {"raised": False, "n": 0, "of": 1, "ids": ""})


@given(st.lists(st.text(st.characters(exclude_characters="\0"), min_size=1)))
@example(["a\nb", "c\rd", "\r\n", 'e"f', " "])
def test_ids_of_any_characters_come_back_from_a_cell(ids: list[str]) -> None:
    assert split_ids(join_ids(ids)) == ids
