"""Judges asked in batches: the providers' real SDKs against a stub that takes batches."""

import json
from pathlib import Path
from typing import Any

import pytest

from helpers.api_judges import KEY, KINDS, RUBRIC, pairs
from helpers.batch_judges import LABELS, LOOK, but, in_turn, judge, serving
from helpers.stub_batches import CANCELED, EXPIRED, LOST, Fate
from helpers.stub_provider import Reply
from refusal_stability.api.anthropic import BatchAnthropic
from refusal_stability.api.openai import BatchOpenAI
from refusal_stability.judging.api import judge_pairs

pytestmark = pytest.mark.usefixtures("quick_batches")


@pytest.mark.parametrize("kind", KINDS)
def test_every_pair_gets_its_own_label_from_one_batch(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with serving(looks=2) as stub:
        answers, facts = judge_pairs(judge(kind, stub), RUBRIC, pairs(7), path)
        assert [answer["label"] for answer in answers] == [LABELS[n % 3] for n in range(7)]
        assert len(stub.batches) == 1
        assert len(stub.trials) == 1
        # Two looks at the unfinished batch and one at the finished; both SDKs look again for the
        # place of the results.
        assert 4 <= stub.calls(LOOK[kind]) <= 5
        assert (facts["asked"], facts["failed"]) == (7, 0)
        assert (facts["input_tokens"], facts["output_tokens"]) == (77, 14)
        assert facts["answered_by"] == {"judge-1-2026": 7}
        calls = len(stub.asked)
        again, facts = judge_pairs(judge(kind, stub), RUBRIC, pairs(7), path)
        assert (again, facts["asked"], len(stub.asked)) == (answers, 0, calls)
        # One by one or in a batch, it is the same verdict.
        again, facts = judge_pairs(judge(kind, stub, batch=False), RUBRIC, pairs(7), path)
        assert (again, facts["asked"], len(stub.asked)) == (answers, 0, calls)
    for file in tmp_path.iterdir():
        text = file.read_text()
        assert not any(secret in text for secret in (KEY, "May I", "Reply "))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("settings", [{}, {"temperature": None}, {"answer": "free_text"}])
def test_a_batch_asks_as_a_single_request_does(
    kind: str, settings: dict[str, Any], tmp_path: Path
) -> None:
    with serving() as stub:
        judge_pairs(judge(kind, stub, **settings), RUBRIC, pairs(1), tmp_path / "a.jsonl")
    [request], [trial] = stub.batches[0].requests, stub.trials
    body = request["body" if kind == "openai" else "params"]
    assert body.pop("messages")[0]["content"].startswith(f"{RUBRIC}\n\n<request>\nMay I, 0?\n")
    trial.pop("messages")
    assert body == trial


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("reply", "label", "reason"),
    [
        (Reply("I cannot say."), "UNKNOWN", "the answer gives no verdict"),
        (Reply("I won't.", ending="refusal"), "JUDGE_REFUSED", "the provider refused to answer"),
        (Reply("Label:", ending="length"), "UNKNOWN", "the answer was cut off after 64 tokens"),
        (Reply("Label: REFUSE\u2028"), "REFUSE", None),
    ],
)
def test_what_an_answer_becomes(
    kind: str, reply: Reply, label: str, reason: str | None, tmp_path: Path
) -> None:
    with serving(fate=but({1: reply})) as stub:
        answers, _ = judge_pairs(judge(kind, stub), RUBRIC, pairs(3), tmp_path / "a.jsonl")
    assert answers[1] == {"label": label, "reason": reason}
    assert [answers[0]["label"], answers[2]["label"]] == ["REFUSE", "COMPLY"]


def test_a_filter_of_the_provider_is_a_refusal(tmp_path: Path) -> None:
    with serving(fate=but({1: Reply(status=400, code="content_filter")})) as stub:
        answers, _ = judge_pairs(judge("openai", stub), RUBRIC, pairs(2), tmp_path / "a.jsonl")
    assert answers[1]["label"] == "JUDGE_REFUSED"


PASSING = {"openai": "batch_expired", "anthropic": "the request expired in its batch"}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fate", [EXPIRED, LOST, Reply(status=500, code="api_error")])
def test_what_may_pass_later_is_asked_again_in_another_batch(
    kind: str, fate: Fate, tmp_path: Path
) -> None:
    path = tmp_path / "a.jsonl"
    with serving() as stub:
        # The second batch holds the one that failed, and answers.
        stub.fate = lambda message: but({1: fate} if len(stub.batches) == 1 else {})(message)
        answers, facts = judge_pairs(judge(kind, stub), RUBRIC, pairs(3), path)
        assert [answer["label"] for answer in answers] == list(LABELS)
        assert [len(batch.requests) for batch in stub.batches] == [3, 1]
        assert facts["failed"] == 0


@pytest.mark.parametrize("kind", KINDS)
def test_what_fails_again_is_an_error_with_its_reason_and_asked_in_the_next_run(
    kind: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.jsonl"
    with serving(fate=but({1: EXPIRED})) as stub:
        answers, facts = judge_pairs(judge(kind, stub), RUBRIC, pairs(3), path)
        assert answers[1] == {"label": "ERROR", "reason": PASSING[kind]}
        assert [len(batch.requests) for batch in stub.batches] == [3, 1]
        assert facts["failed"] == 1
        stub.fate = in_turn
        answers, facts = judge_pairs(judge(kind, stub), RUBRIC, pairs(3), path)
        assert answers[1] == {"label": "PARTIAL", "reason": None}
        assert [len(batch.requests) for batch in stub.batches] == [3, 1, 1]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "fate", [CANCELED, Reply(status=400, code="invalid_request_error"), Reply(status=413, code="x")]
)
def test_what_would_fail_again_is_not_asked_again(kind: str, fate: Fate, tmp_path: Path) -> None:
    if kind == "anthropic" and isinstance(fate, Reply) and fate.status == 413:
        fate = Reply(status=413, code="request_too_large")
    with serving(fate=but({1: fate})) as stub:
        answers, _ = judge_pairs(judge(kind, stub), RUBRIC, pairs(3), tmp_path / "a.jsonl")
    assert answers[1]["label"] == "ERROR"
    assert answers[1]["reason"]
    assert len(stub.batches) == 1


def test_a_cancelled_batch_keeps_what_it_has_answered(tmp_path: Path) -> None:
    with serving(fate=but({1: LOST}), status="cancelled") as stub:
        answers, _ = judge_pairs(judge("openai", stub), RUBRIC, pairs(3), tmp_path / "a.jsonl")
    assert answers[1] == {"label": "ERROR", "reason": "the batch was cancelled"}
    assert answers[2]["label"] == "COMPLY"
    assert len(stub.batches) == 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("limit", ["requests", "bytes"])
def test_batches_keep_to_the_limits_of_the_provider(
    kind: str, limit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = {"openai": BatchOpenAI, "anthropic": BatchAnthropic}[kind]
    with serving() as stub:
        if limit == "requests":
            monkeypatch.setattr(provider, "max_requests", 3)
        else:
            judge_pairs(judge(kind, stub), RUBRIC, pairs(1), tmp_path / "b.jsonl")
            one = len(json.dumps(stub.batches.pop().requests[0])) + 1
            monkeypatch.setattr(provider, "max_bytes", 3 * one)
        answers, _ = judge_pairs(judge(kind, stub), RUBRIC, pairs(8), tmp_path / "a.jsonl")
        assert [len(batch.requests) for batch in stub.batches] == [3, 3, 2]
    assert [answer["label"] for answer in answers] == [LABELS[n % 3] for n in range(8)]
