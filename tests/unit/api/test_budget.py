"""No call more than the budget, whichever thread, job or attempt sends it."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from helpers.api_judges import KINDS, RUBRIC, api_judge, pairs
from helpers.batch_judges import CREATE, LOOK, times
from helpers.stub_batches import BatchStub, stub_batches
from helpers.stub_provider import Reply, Stub, stub_provider
from refusal_stability.api import batches, budget
from refusal_stability.api.anthropic import BatchAnthropic
from refusal_stability.api.budget import Budget, NoCallError
from refusal_stability.api.openai import BatchOpenAI
from refusal_stability.controller.check_providers import check_providers
from refusal_stability.core.errors import BudgetError, ProviderError
from refusal_stability.costs.plan import make_plan
from refusal_stability.costs.plan_text import plan_text
from refusal_stability.judging.api import judge_pairs

SCRIPTS = Path(__file__).parents[3] / "workflow/scripts"
TAKING = """
import sys
from pathlib import Path
from refusal_stability.api.budget import Budget, NoCallError
taken = 0
try:
    while True:
        Budget(300, Path(sys.argv[1])).take()
        taken += 1
except NoCallError:
    print(taken)
"""


def taken(of: Budget) -> bool:
    try:
        of.take()
    except NoCallError:
        return False
    return True


def test_threads_take_as_many_as_there_are(tmp_path: Path) -> None:
    of = Budget(50, tmp_path / "cache/calls")
    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(lambda _: taken(of), range(80))) == 50
    assert budget.sent(tmp_path / "cache/calls") == 50


def test_processes_take_as_many_as_there_are(tmp_path: Path) -> None:
    command = [sys.executable, "-c", TAKING, str(tmp_path / "calls")]
    jobs = [
        subprocess.Popen(command, cwd=SCRIPTS, stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    assert sum(int(job.communicate()[0]) for job in jobs) == 300


def test_a_batch_counts_whole_or_not_at_all(tmp_path: Path) -> None:
    of = Budget(10, tmp_path / "calls")
    of.take(7)
    with pytest.raises(NoCallError, match=r"7 of the 10 calls .* and a batch of 4 is needed"):
        of.take(4)
    of.take(3)
    with pytest.raises(NoCallError, match=r"10 of the 10 calls .* and one more is needed"):
        of.take()


def test_what_cannot_be_counted_is_not_sent(tmp_path: Path) -> None:
    (tmp_path / "calls").mkdir()
    with pytest.raises(NoCallError, match=r"calls cannot be counted there .*Is a directory"):
        Budget(10, tmp_path / "calls").take()


def test_no_budget_is_no_limit_and_no_file(tmp_path: Path) -> None:
    budget.UNLIMITED.take(10**9)
    assert budget.of_arguments(None) is budget.UNLIMITED
    assert budget.sent(tmp_path / "calls") == 0


@pytest.mark.parametrize("kind", KINDS)
def test_retries_count_and_a_higher_budget_goes_on(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_KEY", "k")

    def label(stub: Stub, calls: int) -> list[dict[str, Any]]:
        of = Budget(calls, tmp_path / "calls")
        entry = api_judge(kind, stub.url)
        return judge_pairs(entry, RUBRIC, pairs(10), tmp_path / "kept.jsonl", of)[0]

    seen: set[str] = set()

    def answer(_: int, message: str) -> Reply:
        first = message not in seen
        seen.add(message)
        return Reply(status=500, headers={"retry-after-ms": "10"}) if first else Reply()

    with stub_provider(answer) as stub:
        for calls in (1, 2, 9, 15):
            with pytest.raises(BudgetError, match=rf"^api: .*: {calls} of the {calls} calls"):
                label(stub, calls)
            assert len(stub.requests) == calls
        # Each of ten pairs twice, and the try that comes first in each of five attempts: 20 + 5.
        assert {answer["label"] for answer in label(stub, 25)} == {"REFUSE"}
        assert budget.sent(tmp_path / "calls") == len(stub.requests) == 25
        # All is kept: nothing more is sent.
        label(stub, 1)
        assert budget.sent(tmp_path / "calls") == len(stub.requests)


def test_before_the_first_job_a_spent_budget_is_nothing_to_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TEST_KEY", "k")
    of = Budget(1, tmp_path / "calls")
    # Nobody tells of models there, so that one token is asked for.
    with stub_provider(lambda *_: Reply()) as stub:
        for kind in KINDS:
            check_providers([api_judge(kind, stub.url)], of)
        assert len(stub.requests) == 1
    assert capsys.readouterr().err == ""


@pytest.fixture
def _batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches of three, looked at without a pause."""
    monkeypatch.setenv("TEST_KEY", "k")
    monkeypatch.setattr(batches, "FIRST_WAIT", 0.001)
    monkeypatch.setattr(BatchOpenAI, "max_requests", 3)
    monkeypatch.setattr(BatchAnthropic, "max_requests", 3)


def served(**behaviour: Any) -> AbstractContextManager[BatchStub]:
    return stub_batches(BatchStub(fate=lambda _: Reply(), **behaviour))


def batched(kind: str, stub: BatchStub, texts: int, folder: Path, calls: int | None) -> list[str]:
    """The labels of so many texts; the calls are counted in `calls`, answers kept in `a.jsonl`."""
    judge = api_judge(kind, stub.url, batch=True, max_retries=0)
    of = Budget(calls, folder / "calls")
    answers, _ = judge_pairs(judge, RUBRIC, pairs(texts), folder / "a.jsonl", of)
    return [answer["label"] for answer in answers]


def kept(folder: Path) -> int:
    return len((folder / "a.jsonl").read_text().splitlines())


@pytest.mark.usefixtures("_batches")
@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_counts_with_all_its_requests_unless_it_is_not_taken(
    kind: str, tmp_path: Path
) -> None:
    # The first try, and nothing of a batch that was refused.
    with (
        served(fault=times(CREATE[kind], [404])) as stub,
        pytest.raises(ProviderError, match="takes no batch"),
    ):
        batched(kind, stub, 8, tmp_path, 100)
    assert budget.sent(tmp_path / "calls") == 1
    with served() as stub:
        # One more try, and two of the three batches.
        with pytest.raises(BudgetError, match=r"8 of the 9 calls .* a batch of 2 is needed"):
            batched(kind, stub, 8, tmp_path, 9)
        assert [len(batch.requests) for batch in stub.batches] == [3, 3]
        # Their answers are kept: nothing of them is under way, or asked for again.
        assert kept(tmp_path) == 6
        # As is the try.
        assert batched(kind, stub, 8, tmp_path, 11) == ["REFUSE"] * 8
        assert [len(batch.requests) for batch in stub.batches] == [3, 3, 2]


@pytest.mark.usefixtures("_batches")
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_under_way_is_collected_though_no_call_is_left(kind: str, tmp_path: Path) -> None:
    with served(fault=times(LOOK[kind], [401])) as stub:
        with pytest.raises(ProviderError, match="the key is not accepted"):
            batched(kind, stub, 3, tmp_path, 4)
        # All 4 are sent; the next attempt wants two texts more, and may not even try.
        with pytest.raises(BudgetError, match="4 of the 4 calls"):
            batched(kind, stub, 5, tmp_path, 4)
    assert kept(tmp_path) == 3
    assert budget.sent(tmp_path / "calls") == 4


@pytest.mark.usefixtures("_batches")
@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_that_never_got_through_costs_no_calls(kind: str, tmp_path: Path) -> None:
    with served(fault=times(CREATE[kind], [500, 500, 500])) as stub:
        for attempt in range(1, 4):
            with pytest.raises(ProviderError, match="no batch could be submitted"):
                batched(kind, stub, 3, tmp_path, 8)
            # A try each, and the last batch: whether that got through, the next attempt asks.
            assert budget.sent(tmp_path / "calls") == attempt + 3
        # Four tries, and three requests that were sent once.
        batched(kind, stub, 3, tmp_path, 8)
        assert budget.sent(tmp_path / "calls") == 7
        assert len(stub.trials) == 4


@pytest.mark.usefixtures("_batches")
def test_a_batch_that_is_refused_later_costs_no_calls(tmp_path: Path) -> None:
    with (
        served(status="failed") as stub,
        pytest.raises(ProviderError, match="refused the batch"),
    ):
        batched("openai", stub, 3, tmp_path, 9)
    assert budget.sent(tmp_path / "calls") == 1


@pytest.mark.usefixtures("_batches")
def test_a_batch_that_was_not_counted_gives_nothing_back(tmp_path: Path) -> None:
    with served(fault=times(CREATE["openai"], [500])) as stub:
        with pytest.raises(ProviderError, match="no batch could be submitted"):
            batched("openai", stub, 3, tmp_path, None)
        batched("openai", stub, 3, tmp_path, 9)
    # A try and a batch.
    assert budget.sent(tmp_path / "calls") == 4


def test_the_plan_says_what_is_left_and_warns(tmp_path: Path) -> None:
    (tmp_path / "calls").write_bytes(b"." * 4)
    entry = {"name": "m", "kind": "openai", "model": "m-1", "max_tokens": 9, "max_concurrency": 8}
    prompts = {"source": "file", "path": str(tmp_path / "prompts.csv")}
    Path(prompts["path"]).write_text("prompt\na\nb\nc\n")
    of = {"run": str(tmp_path / "results/mine"), "config": "my.yaml", "prompts": prompts}
    of |= {"models": [entry], "judges": [], "temperatures": ["0"], "seeds": [1], "sharing": "cell"}
    pending = {f"{of['run']}/responses/m/T0_seed1.parquet": "generate_without_gpu"}

    def text(calls: int) -> str:
        with_budget = of | {"calls": str(tmp_path / "calls"), "budget": {"calls": calls}}
        return plan_text(with_budget, make_plan(with_budget, set(pending)), pending)

    # Three prompts; 6 - 4 calls are left, or 7 - 4.
    assert "budget.calls: 2 of 6 calls of APIs are left; planned: 3, plus" in text(6)
    assert "warning: that is too few" in text(6)
    assert "budget.calls: 3 of 7 calls" in text(7)
    assert "warning" not in text(7)
