"""Batches after kills, lost answers, outages and refusals: nothing is paid for twice."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from helpers.api_judges import KEY, KINDS, RUBRIC, pairs
from helpers.batch_judges import CREATE, LABELS, LOOK, error_of, judge, serving, times
from refusal_stability.api.batch_log import BatchLog
from refusal_stability.judging.api import judge_pairs

pytestmark = pytest.mark.usefixtures("quick_batches")

CHILD = """
import json, sys
from pathlib import Path
import polars as pl
from refusal_stability.judging.api import judge_pairs
judge, rubric, pairs, path = json.loads(sys.argv[1])
judge_pairs(judge, rubric, pl.DataFrame(pairs), Path(path))
"""


def killed(settings: dict[str, Any], table: pl.DataFrame, path: Path, ready: Callable) -> None:
    """Judge in a process of its own and kill it as soon as it is ``ready``."""
    arguments = json.dumps([settings, RUBRIC, table.to_dict(as_series=False), str(path)])
    scripts = Path(__file__).parents[3] / "workflow/scripts"
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
    first = BatchLog(path).begin("http://a", ["k1", "k2"], counted=True)
    with path.open("a") as file:
        file.write('{"submission": "')
    BatchLog(path).submitted(first, "batch_1")
    log = BatchLog(path)
    [batch] = log.wanted("http://a", ["k2", "k3"])
    assert (batch.id, batch.keys, log.known_ids()) == ("batch_1", {"k1", "k2"}, {"batch_1"})
    assert log.wanted("http://b", ["k2"]) == log.wanted("http://a", ["k3"]) == []
    log.close(batch)
    assert BatchLog(path).wanted("http://a", ["k1"]) == []
