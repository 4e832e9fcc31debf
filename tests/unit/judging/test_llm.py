import math
from types import SimpleNamespace

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refusal_stability.core.errors import InputError
from refusal_stability.core.labels import VALID_LABELS
from refusal_stability.judging.llm import (
    label_probabilities,
    label_starts,
    read_constrained,
    read_free_text,
    requests,
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


def test_a_vocabulary_that_begins_no_label_is_one_line() -> None:
    judge = {"name": "j", "answer": "constrained"}
    pairs = pl.DataFrame({"prompt": [], "response": []})
    prepare = requests(judge, "{prompt} {response}", pairs).prepare
    tokenizer = SimpleNamespace(get_vocab=lambda: {"REFUSE": 1, "artial": 2})
    line = r"^j: its vocabulary has no token that begins PARTIAL, COMPLY\. Hint: set answer: free"
    with pytest.raises(InputError, match=line):
        prepare(tokenizer, 0)


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


def constrained(masses: dict[int, float], token: int, drawn: bool = False) -> dict[str, object]:
    """What is read of a constrained answer whose first token is ``token``."""
    logprobs = {name: SimpleNamespace(logprob=math.log(mass)) for name, mass in masses.items()}
    answer = SimpleNamespace(token_ids=[token], logprobs=[logprobs], finish_reason="length")
    return read_constrained(SimpleNamespace(outputs=[answer]), STARTS, drawn)


@pytest.mark.parametrize(
    ("masses", "token", "label"),
    [
        # COMPLY is the largest token, .3, and REFUSE the most probable label: .25 + .15 + .1 = .5.
        ({32: 0.3, 10: 0.25, 11: 0.15, 12: 0.1, 20: 0.2}, 32, "REFUSE"),
        ({32: 0.6, 10: 0.3, 20: 0.1}, 32, "COMPLY"),
        ({20: 0.25, 21: 0.2, 13: 0.4, 30: 0.15}, 13, "PARTIAL"),
    ],
)
def test_the_label_is_the_most_probable_one_and_not_that_of_the_most_probable_token(
    masses: dict[int, float], token: int, label: str
) -> None:
    verdict = constrained(masses, token)
    assert (verdict["label"], verdict["reason"]) == (label, None)
    assert verdict[f"p_{label.lower()}"] == max(probabilities(masses).values())
    # At a temperature it is the one that was drawn.
    assert constrained(masses, token, drawn=True)["label"] == STARTS[token]


def test_among_labels_that_are_equally_probable_the_most_probable_token_decides() -> None:
    masses = {13: 0.375, 20: 0.25, 30: 0.25, 31: 0.125}
    for token, label in ((13, "REFUSE"), (30, "COMPLY")):
        verdict = constrained(masses, token)
        assert (verdict["label"], verdict["reason"]) == (label, None)
        assert verdict["p_refuse"] == verdict["p_comply"] == 0.375
    verdict = constrained(masses, 20)
    assert verdict["label"] == "UNKNOWN"
    assert verdict["reason"] == "REFUSE and COMPLY are equally probable"


@pytest.mark.parametrize("broken", [math.nan, math.inf])
@pytest.mark.parametrize("drawn", [False, True])
def test_numbers_that_are_none_are_no_verdict(broken: float, drawn: bool) -> None:
    logprobs = {token: SimpleNamespace(logprob=-1.0) for token in STARTS}
    logprobs[20] = SimpleNamespace(logprob=broken)
    answer = SimpleNamespace(token_ids=[13], logprobs=[logprobs], finish_reason="length")
    verdict = read_constrained(SimpleNamespace(outputs=[answer]), STARTS, drawn)
    assert verdict == {"label": "ERROR", "reason": "the engine's probabilities are no numbers"}


@given(
    st.dictionaries(st.sampled_from(sorted(STARTS)), st.floats(min_value=1e-6, max_value=1)).filter(
        lambda masses: masses
    )
)
def test_no_label_is_given_that_another_exceeds(masses: dict[int, float]) -> None:
    verdict = constrained(masses, max(masses, key=masses.get))
    shares = [verdict[f"p_{label.lower()}"] for label in VALID_LABELS]
    if verdict["label"] == "UNKNOWN":
        assert sorted(shares)[-2] == pytest.approx(max(shares), abs=1e-12)
    else:
        own = verdict[f"p_{verdict['label'].lower()}"]
        assert own == pytest.approx(max(shares), abs=1e-12)


def test_an_answer_that_the_engine_did_not_give_is_no_verdict() -> None:
    answer = SimpleNamespace(token_ids=[], logprobs=None, finish_reason="abort")
    verdict = read_constrained(SimpleNamespace(outputs=[answer]), STARTS, False)
    assert verdict == {"label": "UNKNOWN", "reason": "the answer is no label (finish reason abort)"}


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
