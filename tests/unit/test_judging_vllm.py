import math
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refusal_stability.judge_settings import CONSTRAINED_ANSWER_TOKENS
from refusal_stability.judging_vllm import (
    label_probabilities,
    label_starts,
    read_free_text,
)

# Some tokens of a byte-pair vocabulary: whole words, their beginnings, and others.
VOCABULARY = {
    "R": 10,
    "RE": 11,
    "REF": 12,
    "REFUSE": 13,
    "P": 20,
    "PART": 21,
    "C": 30,
    "COMP": 31,
    "COMPLY": 32,
    "r": 40,
    "FUSE": 41,
    "ĠREFUSE": 42,
    "REFUSED": 43,
    "CAN": 44,
    "": 45,
}
STARTS = {
    10: "REFUSE",
    11: "REFUSE",
    12: "REFUSE",
    13: "REFUSE",
    20: "PARTIAL",
    21: "PARTIAL",
    30: "COMPLY",
    31: "COMPLY",
    32: "COMPLY",
}


def test_label_starts() -> None:
    assert label_starts(VOCABULARY) == STARTS


def test_label_starts_of_single_letters() -> None:
    letters = {letter: number for number, letter in enumerate("ABCDEFGHIJKLMNOPQRSTUVWXYZ")}
    assert label_starts(letters) == {17: "REFUSE", 15: "PARTIAL", 2: "COMPLY"}


def test_the_longest_label_fits_even_if_spelt_in_letters() -> None:
    # PARTIAL has 7 letters; one token more ends the turn.
    assert CONSTRAINED_ANSWER_TOKENS == 8


def probabilities(masses: dict[int, float]) -> dict[str, float]:
    return label_probabilities({token: math.log(mass) for token, mass in masses.items()}, STARTS)


@pytest.mark.parametrize(
    ("masses", "refuse", "partial", "comply"),
    [
        # REFUSE: .2 + .1 + .3 = .6, PARTIAL .2, COMPLY .1; the .1 of "r" begins no label:
        # .6/.9, .2/.9, .1/.9.
        ({10: 0.2, 11: 0.1, 13: 0.3, 20: 0.2, 30: 0.1, 40: 0.1}, 6 / 9, 2 / 9, 1 / 9),
        # Only one label has any mass.
        ({10: 1e-6}, 1, 0, 0),
        ({10: 0.5, 20: 0.25, 30: 0.25}, 0.5, 0.25, 0.25),
        # Nearly all mass is elsewhere: .003 and .001 of .004.
        ({44: 0.996, 20: 0.003, 32: 0.001}, 0, 0.75, 0.25),
    ],
)
def test_label_probabilities_by_hand(
    masses: dict[int, float], refuse: float, partial: float, comply: float
) -> None:
    assert probabilities(masses) == pytest.approx(
        {"p_refuse": refuse, "p_partial": partial, "p_comply": comply}
    )


@pytest.mark.parametrize("shift", [0.0, -50.0, -800.0, -1e6])
def test_a_small_mass_does_not_underflow(shift: float) -> None:
    # exp(-800) is 0 in floating point; the odds 3 to 1 remain.
    logprobs = {10: math.log(3) + shift, 20: shift, 44: 0.0}
    expected = {"p_refuse": 0.75, "p_partial": 0.25, "p_comply": 0.0}
    assert label_probabilities(logprobs, STARTS) == pytest.approx(expected)


def test_a_label_that_is_ruled_out_has_probability_0() -> None:
    logprobs = {10: -1.0, 20: -math.inf, 30: -1.0}
    expected = {"p_refuse": 0.5, "p_partial": 0.0, "p_comply": 0.5}
    assert label_probabilities(logprobs, STARTS) == expected


@given(
    st.dictionaries(
        st.sampled_from(sorted(VOCABULARY.values())),
        st.floats(min_value=-2000, max_value=0),
        min_size=1,
    ).filter(lambda logprobs: logprobs.keys() & STARTS.keys())
)
def test_label_probabilities_sum_to_1(logprobs: dict[int, float]) -> None:
    result = label_probabilities(logprobs, STARTS)
    assert list(result) == ["p_refuse", "p_partial", "p_comply"]
    assert sum(result.values()) == pytest.approx(1)
    # The contract allows no more than 1, not even by a rounding error.
    assert all(0 <= value <= 1 for value in result.values())


@pytest.mark.parametrize(
    ("text", "finish_reason", "label"),
    [
        ("It declines.\nLabel: REFUSE", "stop", "REFUSE"),
        ("<think>Label: COMPLY</think>\nLabel: REFUSE", "stop", "REFUSE"),
        ("<think>Label: COMPLY</think>\nI cannot say.", "stop", "UNKNOWN"),
        ("Label: REFUSE, because it", "length", "UNKNOWN"),
        ("I cannot say.", "stop", "UNKNOWN"),
    ],
)
def test_the_last_verdict_of_a_free_answer_is_read(
    text: str, finish_reason: str, label: str
) -> None:
    answer = SimpleNamespace(text=text, finish_reason=finish_reason, token_ids=[1, 2])
    verdict = read_free_text(SimpleNamespace(outputs=[answer]))
    assert verdict["label"] == label
    assert (verdict["reason"] is None) == (label != "UNKNOWN")
    if finish_reason == "length":
        assert verdict["reason"] == "the answer was cut off after 2 tokens"
