"""Judges behind an API that are asked about the same texts again and again."""

from pathlib import Path

import polars as pl
import pytest

from helpers.api_judges import KEY, KINDS, RUBRIC, api_judge
from helpers.stub_provider import Reply, stub_provider
from refusal_stability.judging.api import ask_repeatedly
from refusal_stability.judging.rounds import rounds

TEXTS = pl.DataFrame({"prompt": ["Why?", "How?", "Who?"], "response": ["No.", "Thus.", "He."]})


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", KEY)


@pytest.mark.parametrize("kind", KINDS)
def test_every_round_asks_anew_and_no_round_is_paid_for_twice(kind: str, tmp_path: Path) -> None:
    every = list(rounds(TEXTS.height, 2, 0.7))
    # Each third label is another one.
    words = ["REFUSE", "REFUSE", "COMPLY"]
    with stub_provider(lambda number, _: Reply(f"Label: {words[number % 3]}")) as stub:
        judge = api_judge(kind, stub.url)
        first = list(ask_repeatedly(judge, RUBRIC, TEXTS, every, tmp_path / "a.jsonl"))
        asked = len(stub.requests)
        again = list(ask_repeatedly(judge, RUBRIC, TEXTS, every, tmp_path / "a.jsonl"))
        assert len(stub.requests) == asked
    # Four conditions, two repeats, three texts, and the harmless one before them.
    assert asked == 4 * 2 * 3 + 1
    assert first == again
    assert {answer["label"] for of_round in first for answer in of_round} == {"REFUSE", "COMPLY"}
    temperatures = [request["temperature"] for request in stub.requests]
    assert temperatures == [0] * 19 + [0.7] * 6


def test_a_failure_is_an_error_and_is_asked_again(tmp_path: Path) -> None:
    every = list(rounds(TEXTS.height, 2, 0.7))[:1]
    refused = {"Who?"}

    def answer(_: int, message: str) -> Reply:
        faulty = any(word in message for word in refused)
        return Reply(status=400, code="bad") if faulty else Reply()

    with stub_provider(answer) as stub:
        judge = api_judge("openai", stub.url)
        [answers] = ask_repeatedly(judge, RUBRIC, TEXTS, every, tmp_path / "a.jsonl")
        assert [of["label"] for of in answers] == ["REFUSE", "REFUSE", "ERROR"]
        refused.clear()
        [answers] = ask_repeatedly(judge, RUBRIC, TEXTS, every, tmp_path / "a.jsonl")
        assert [of["label"] for of in answers] == ["REFUSE"] * 3
