"""Judges asked in batches: the providers' real SDKs against a stub that takes batches."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from api_judges import KEY, KINDS, RUBRIC, api_judge, pairs
from refusal_stability import judging_batch
from refusal_stability.batch_anthropic import BatchAnthropic
from refusal_stability.batch_log import BatchLog
from refusal_stability.batch_openai import BatchOpenAI
from refusal_stability.errors import ProviderError
from refusal_stability.judging_api import judge_pairs
from stub_batches import CANCELED, EXPIRED, LOST, BatchStub, Fate, stub_batches
from stub_provider import Reply

CREATE = {"openai": "POST /v1/batches", "anthropic": "POST /v1/messages/batches"}
LOOK = {"openai": "GET /v1/batches/", "anthropic": "GET /v1/messages/batches/"}
LABELS = ("REFUSE", "PARTIAL", "COMPLY")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", KEY)
    monkeypatch.setattr(judging_batch, "FIRST_WAIT", 0.001)
    monkeypatch.setattr(judging_batch, "LONGEST_WAIT", 0.01)


def judge(kind: str, stub: BatchStub, **settings: Any) -> dict[str, Any]:
    return api_judge(kind, stub.url, **{"batch": True} | settings)


def number_of(message: str) -> int:
    return int(message.partition("<reply>\nReply ")[2].partition(".")[0])


def in_turn(message: str) -> Reply:
    return Reply(f'{{"label": "{LABELS[number_of(message) % 3]}"}}')


def but(odd: dict[int, Fate]) -> Callable[[str], Fate]:
    """The labels in turn, but for some."""
    return lambda message: odd.get(number_of(message), in_turn(message))


@contextmanager
def serving(**behaviour: Any) -> Iterator[BatchStub]:
    with stub_batches(BatchStub(**({"fate": in_turn} | behaviour))) as stub:
        yield stub


def times(call: str, statuses: list[int]) -> Callable[[str], int | None]:
    """Faults for the first calls of one kind."""
    left = list(statuses)
    return lambda asked: left.pop(0) if asked.startswith(call) and left else None


def error_of(*arguments: Any) -> str:
    with pytest.raises(ProviderError) as caught:
        judge_pairs(*arguments)
    message = str(caught.value)
    assert "Hint: " in message
    assert "\n" not in message
    assert KEY not in message
    return message


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


CHILD = """
import json, sys
from pathlib import Path
import polars as pl
from refusal_stability.judging_api import judge_pairs
judge, rubric, pairs, path = json.loads(sys.argv[1])
judge_pairs(judge, rubric, pl.DataFrame(pairs), Path(path))
"""


def killed(settings: dict[str, Any], table: pl.DataFrame, path: Path, ready: Callable) -> None:
    """Judge in a process of its own and kill it as soon as it is ``ready``."""
    arguments = json.dumps([settings, RUBRIC, table.to_dict(as_series=False), str(path)])
    scripts = Path(__file__).parents[2] / "workflow/scripts"
    environment = {"TEST_KEY": KEY, "PYTHONPATH": str(scripts)}
    child = subprocess.Popen([sys.executable, "-c", CHILD, arguments], env=environment)
    try:
        deadline = time.monotonic() + 60
        while not ready():
            assert child.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        child.kill()
        child.wait()


@pytest.mark.parametrize("kind", KINDS)
def test_after_a_kill_the_same_batch_is_waited_for(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with serving(looks=None) as stub:
        settings = judge(kind, stub)
        killed(settings, pairs(5), path, lambda: stub.calls(LOOK[kind]) > 0)
        assert len(stub.batches) == 1
        assert not path.exists()
        stub.looks = 0
        # Meanwhile there are two more pairs: they alone are submitted.
        answers, _ = judge_pairs(settings, RUBRIC, pairs(7), path)
        assert [len(batch.requests) for batch in stub.batches] == [5, 2]
    assert [answer["label"] for answer in answers] == [LABELS[n % 3] for n in range(7)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_kill_before_the_id_is_known_submits_nothing_twice(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with serving() as stub:
        settings = judge(kind, stub)

        def obeyed_but_never_answered(call: str) -> int | None:
            # Sends the answer of a batch into the void, and lets nobody ask for it.
            return -1 if call == CREATE[kind] else 503 if call.startswith("GET") else None

        stub.fault = obeyed_but_never_answered
        killed(settings, pairs(5), path, lambda: stub.calls(CREATE[kind]) > 0)
        stub.fault = lambda _: None
        trials = len(stub.trials)
        answers, _ = judge_pairs(settings, RUBRIC, pairs(5), path)
        assert len(stub.batches) == 1
        assert len(stub.trials) == trials
    assert [answer["label"] for answer in answers] == [LABELS[n % 3] for n in range(5)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("status", [-1, 0, 500, 429])
def test_an_answer_that_was_lost_submits_nothing_twice(
    kind: str, status: int, tmp_path: Path
) -> None:
    """-1: the batch was created all the same; the others: it was not."""
    with serving(fault=times(CREATE[kind], [status])) as stub:
        answers, _ = judge_pairs(judge(kind, stub), RUBRIC, pairs(5), tmp_path / "a.jsonl")
    assert len(stub.batches) == 1
    assert stub.calls(CREATE[kind]) == (1 if status == -1 else 2)
    assert [answer["label"] for answer in answers] == [LABELS[n % 3] for n in range(5)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("noted", [True, False], ids=["of this run", "of somebody else"])
def test_a_batch_of_another_job_is_not_taken_for_ours(
    kind: str, noted: bool, tmp_path: Path
) -> None:
    """Of the same size and time, which is all that Anthropic's API tells."""
    ours, theirs = tmp_path / "judge/a.jsonl", tmp_path / "other/b.jsonl"
    with serving() as stub:
        judge_pairs(judge(kind, stub), "Another rubric.", pairs(5), theirs)
        if not noted:
            theirs.with_suffix(".batches").unlink()
        stub.fault = times(CREATE[kind], [500])
        looks = stub.batches[0].looks
        answers, _ = judge_pairs(judge(kind, stub), RUBRIC, pairs(5), ours)
        # One that is not known to be another's is looked into first: nothing in it is ours.
        assert (stub.batches[0].looks > looks) is (kind == "anthropic" and not noted)
    assert len(stub.batches) == 2
    assert [answer["label"] for answer in answers] == [LABELS[n % 3] for n in range(5)]


@pytest.mark.parametrize("kind", KINDS)
def test_no_batch_goes_through(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with serving(fault=times(CREATE[kind], [503] * 3)) as stub:
        message = error_of(judge(kind, stub), RUBRIC, pairs(3), path)
        assert "api: no batch could be submitted: HTTP 503" in message
        assert stub.calls(CREATE[kind]) == 3
        judge_pairs(judge(kind, stub), RUBRIC, pairs(3), path)
        assert len(stub.batches) == 1


REFUSALS = [
    (400, "takes no batch: HTTP 400"),
    (404, "takes no batch: HTTP 404"),
    (401, "the key is not accepted"),
    (403, "the key may not use this model (HTTP 403"),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("status", "says"), REFUSALS)
def test_a_provider_that_takes_no_batch_is_one_line(
    kind: str, status: int, says: str, tmp_path: Path
) -> None:
    path = tmp_path / "judge/a.jsonl"
    with serving(fault=times(CREATE[kind], [status])) as stub:
        assert says in error_of(judge(kind, stub), RUBRIC, pairs(3), path)
        assert stub.batches == []
        # Nothing is under way: one by one will do.
        assert BatchLog(path.with_suffix(".batches")).known_ids() == set()
        judge_pairs(judge(kind, stub), RUBRIC, pairs(3), path)
        assert len(stub.batches) == 1


def test_a_batch_that_is_refused_after_it_was_taken_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with serving(status="failed") as stub:
        message = error_of(judge("openai", stub), RUBRIC, pairs(3), path)
        assert f"refused the batch {stub.batches[0].id}: token_limit_exceeded" in message
        stub.status = "completed"
        answers, _ = judge_pairs(judge("openai", stub), RUBRIC, pairs(3), path)
        assert len(stub.batches) == 2
    assert [answer["label"] for answer in answers] == list(LABELS)


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


@pytest.mark.parametrize("kind", KINDS)
def test_an_outage_while_waiting_is_sat_out(kind: str, tmp_path: Path) -> None:
    # A look is tried three times by the SDK.
    with serving(fault=times(LOOK[kind], [500] * 3 + [0] * 3)) as stub:
        answers, _ = judge_pairs(judge(kind, stub), RUBRIC, pairs(3), tmp_path / "a.jsonl")
    assert [answer["label"] for answer in answers] == list(LABELS)
    assert len(stub.batches) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_long_outage_is_one_line_and_the_batch_stays(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with serving(fault=lambda call: 503 if call.startswith("GET") else None) as stub:
        patient = judge(kind, stub, max_retries=0)
        assert "20 requests in a row failed" in error_of(patient, RUBRIC, pairs(3), path)
        stub.fault = lambda _: None
        judge_pairs(patient, RUBRIC, pairs(3), path)
        assert len(stub.batches) == 1


DOWNLOAD = {"openai": "/content", "anthropic": "/results"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_download_that_breaks_off_is_taken_up_again(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    left = [0] * 3
    broken = lambda call: left.pop() if call.endswith(DOWNLOAD[kind]) and left else None  # noqa: E731
    with serving(fault=broken) as stub:
        answers, _ = judge_pairs(judge(kind, stub), RUBRIC, pairs(3), path)
        assert left == []
    assert [answer["label"] for answer in answers] == list(LABELS)
    assert len(path.read_text().splitlines()) == 3


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_under_way_is_not_paid_for_again_one_by_one(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with serving(looks=None, fault=lambda call: 401 if call.startswith("GET") else None) as stub:
        assert "the key is not accepted" in error_of(judge(kind, stub), RUBRIC, pairs(3), path)
        calls = len(stub.asked)
        message = error_of(judge(kind, stub, batch=False), RUBRIC, pairs(3), path)
        assert "api: 3 requests are under way in a batch" in message
        assert "set batch: true" in message
        assert len(stub.asked) == calls
        # Another rubric is another judge, of which nothing is under way.
        judge_pairs(judge(kind, stub, batch=False), "Another rubric.", pairs(3), path)


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_that_the_provider_has_forgotten_is_one_line(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with serving(looks=0, fault=times(LOOK[kind], [401])) as stub:
        error_of(judge(kind, stub), RUBRIC, pairs(3), path)
        kept = stub.batches.pop()
        message = error_of(judge(kind, stub), RUBRIC, pairs(3), path)
        assert f"does not know the batch {kept.id}" in message
        assert "delete " in message
        assert str(path.with_suffix(".batches")) in message
        assert stub.batches == []


def test_a_batch_log_survives_a_torn_line(tmp_path: Path) -> None:
    path = tmp_path / "judge/a.batches"
    first = BatchLog(path).begin("http://a", ["k1", "k2"])
    with path.open("a") as file:
        file.write('{"submission": "')
    BatchLog(path).submitted(first, "batch_1")
    log = BatchLog(path)
    [batch] = log.wanted("http://a", ["k2", "k3"])
    assert (batch.id, batch.keys, log.known_ids()) == ("batch_1", {"k1", "k2"}, {"batch_1"})
    assert log.wanted("http://b", ["k2"]) == log.wanted("http://a", ["k3"]) == []
    log.close(batch)
    assert BatchLog(path).wanted("http://a", ["k1"]) == []
