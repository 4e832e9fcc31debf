"""Models behind an API: the real SDK against a stub that shows a provider's faults."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from helpers.api_judges import kill_after_lines
from helpers.stub_provider import Reply, Stub, stub_provider
from refusal_stability.core import versions
from refusal_stability.core.cells import request_seed
from refusal_stability.core.errors import ProviderError
from refusal_stability.core.hashing import sha256_text
from refusal_stability.generation import api as generation_api
from refusal_stability.generation.api import generate_cell
from refusal_stability.schemas import storage
from refusal_stability.schemas.stages import Responses
from refusal_stability.settings import api as api_settings

KEY = "sk-secret-0123456789"
TRIAL = "Say hello."


def prompt_id(text: str) -> str:
    return sha256_text(text)[:12]


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", KEY)


def model(stub: Stub, **settings: Any) -> dict[str, Any]:
    return {
        "name": "api",
        "kind": "openai",
        "model": "m-1",
        "base_url": f"{stub.url}/v1",
        "api_key_env": "TEST_KEY",
        "max_tokens": 64,
        "top_p": 1.0,
        "seed_scope": "prompt",
        "send_seed": True,
        "max_concurrency": 4,
        "timeout": 5,
        "max_retries": 2,
        **settings,
    }


def prompts(count: int = 1) -> pl.DataFrame:
    texts = [f"May I, {number}?" for number in range(count)]
    return pl.DataFrame(
        {
            "prompt_id": [prompt_id(text) for text in texts],
            "prompt": texts,
            "source": "test",
            "category": pl.Series([None] * count, dtype=pl.String),
        }
    )


def always(reply: Reply) -> Callable[[int, str], Reply]:
    """The reply to everything but the first, harmless request."""
    return lambda _, message: Reply("Hello.") if message == TRIAL else reply


def generate(
    settings: dict[str, Any], path: Path, count: int = 1, temperature: float = 0.7, seed: int = 42
) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Generate a cell that keeps its contract, as a job does."""
    table, manifest = generate_cell(settings, temperature, seed, prompts(count), path / "a.jsonl")
    storage.write_parquet(table, path / "a.parquet", Responses)
    return storage.read_parquet(path / "a.parquet", Responses), manifest


def reasoning_tokens(count: int) -> dict[str, Any]:
    details = {"completion_tokens_details": {"reasoning_tokens": count}}
    usage = {"prompt_tokens": 11, "completion_tokens": 2, "total_tokens": 13}
    return {"usage": usage | details}


@pytest.mark.parametrize(
    ("reply", "settings", "response", "reasoning", "finish_reason"),
    [
        (Reply("No."), {}, "No.", None, "stop"),
        (Reply("I will n", ending="length"), {}, "I will n", None, "length"),
        # What a model says instead of an answer is its reply.
        (Reply("I won't.", ending="refusal"), {}, "I won't.", None, "stop"),
        (Reply("Sure, fir", ending="content_filter"), {}, "Sure, fir", None, "content_filter"),
        (Reply(status=400, code="content_filter"), {}, "", None, "content_filter"),
        (Reply("No.", ending="eos"), {}, "No.", None, "error"),
        (Reply("", message_body={"content": None}), {}, "", None, "stop"),
        (
            Reply("I won't.", ending="refusal", message_body={"content": []}),
            {},
            "I won't.",
            None,
            "stop",
        ),
        # Half of a surrogate pair.
        (Reply("No \ud83d"), {}, "No ?", None, "stop"),
        # Reasoning in the text, apart from it under both names, and hidden.
        (Reply("<think>Hm.</think>\nNo."), {"thinking": True}, "No.", "Hm.", "stop"),
        (Reply("<think>Hm", ending="length"), {"thinking": True}, "", "Hm", "length"),
        (Reply("</think>No."), {}, "</think>No.", None, "stop"),
        (Reply("\nNo.", message_body={"reasoning": "Hm.\n"}), {}, "No.", "Hm.", "stop"),
        (
            Reply("No.", message_body={"reasoning_content": "Hm."}),
            {"thinking": True},
            "No.",
            "Hm.",
            "stop",
        ),
        (Reply("", ending="length", body=reasoning_tokens(2)), {}, "", "", "length"),
        (Reply("No.", body=reasoning_tokens(2)), {}, "No.", "", "stop"),
        (Reply("No.", body=reasoning_tokens(0)), {}, "No.", None, "stop"),
        (Reply(status=400, code="invalid_request_error"), {}, "", None, "error"),
    ],
)
def test_what_a_reply_becomes(
    reply: Reply,
    settings: dict[str, Any],
    response: str,
    reasoning: str | None,
    finish_reason: str,
    tmp_path: Path,
) -> None:
    with stub_provider(always(reply)) as stub:
        table, manifest = generate(model(stub, **settings), tmp_path)
    [row] = table.rows(named=True)
    assert row["response"] == response
    assert row["reasoning"] == reasoning
    assert row["finish_reason"] == finish_reason
    counted = reply.status == 200
    assert row["prompt_tokens"] == (11 if counted else None)
    assert row["response_tokens"] == (2 if counted else 0)
    assert manifest["failed"] == (
        {"HTTP 400 invalid_request_error": 1} if reply.code == "invalid_request_error" else {}
    )


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (None, (None, None)),
        ({}, (None, None)),
        ({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}, (None, 0)),
    ],
)
def test_a_provider_that_counts_no_tokens(
    usage: dict[str, int] | None, expected: tuple[int | None, int | None], tmp_path: Path
) -> None:
    with stub_provider(always(Reply("No.", body={"usage": usage}))) as stub:
        table, manifest = generate(model(stub), tmp_path)
    assert table.select("prompt_tokens", "response_tokens").row(0) == expected
    assert (manifest["input_tokens"], manifest["output_tokens"]) == expected


def test_what_is_sent(tmp_path: Path) -> None:
    changes = (
        {"system_prompt": "Be kind.", "thinking": False},
        {"top_p": None, "send_seed": False},
        {"seed_scope": "cell"},
    )
    with stub_provider(always(Reply("No."))) as stub:
        for change in changes:
            generate(model(stub, **change), tmp_path)
    # Each cell first asks for something harmless, in the same way.
    full, least, cell = stub.requests[1::2]
    user = {"role": "user", "content": "May I, 0?"}
    assert full == {
        "model": "m-1",
        "messages": [{"role": "system", "content": "Be kind."}, user],
        "max_tokens": 64,
        "temperature": 0.7,
        "top_p": 1.0,
        "seed": request_seed(42, prompt_id("May I, 0?"), "prompt"),
        "chat_template_kwargs": {"enable_thinking": False},
    }
    assert least == {"model": "m-1", "messages": [user], "max_tokens": 64, "temperature": 0.7}
    assert cell["seed"] == 42
    for trial, asked in zip(stub.requests[::2], stub.requests[1::2], strict=True):
        assert trial["messages"][-1]["content"] == TRIAL
        assert trial | {"messages": 0} == asked | {"messages": 0}


def test_the_manifest_says_what_was_sent_and_who_answered(tmp_path: Path) -> None:
    with stub_provider(always(Reply("No.", body={"system_fingerprint": "fp_1"}))) as stub:
        _, sent = generate(model(stub), tmp_path, count=3)
        _, absent = generate(model(stub, send_seed=False), tmp_path, count=3)
    assert (sent["seeds"], absent["seeds"]) == ("sent", "absent")
    assert sent["temperature_sent"]
    assert sent["answered_by"] == {"m-1-2026": 3}
    assert sent["system_fingerprints"] == {"fp_1": 3}
    assert sent["endings"] == {"stop": 3}
    assert sent["engine"].startswith("openai ")
    assert sent["endpoint"] == f"{stub.url}/v1"
    assert (sent["asked"], sent["count"]) == (3, 3)
    assert KEY not in json.dumps(sent)


def test_a_reasoning_model_at_its_provider_s_gets_no_temperature(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with stub_provider(always(Reply("No."))) as stub:
        monkeypatch.setitem(api_settings._ENDPOINTS, "openai", f"{stub.url}/v1")
        settings = model(stub, model="o3-mini", top_p=None)
        del settings["base_url"]
        _, manifest = generate(settings, tmp_path, temperature=1.0)
        request = stub.requests[1]
    assert "temperature" not in request
    # The name that such models know.
    assert request["max_completion_tokens"] == 64
    assert not manifest["temperature_sent"]
    assert manifest["temperature"] == 1.0


def test_replies_stand_at_their_prompts_however_late_they_come(tmp_path: Path) -> None:
    def answer(number: int, message: str) -> Reply:
        return Reply(f"No: {message}", delay=0.05 * (number % 4))

    with stub_provider(answer) as stub:
        table, _ = generate(model(stub), tmp_path, count=12)
    expected = prompts(12)
    assert table["prompt_id"].to_list() == expected["prompt_id"].to_list()
    assert table["response"].to_list() == [f"No: {text}" for text in expected["prompt"]]
    assert set(table["seed"]) == {42}
    assert set(table["temperature"]) == {0.7}


def test_no_reply_is_paid_for_twice(tmp_path: Path) -> None:
    with stub_provider(lambda number, _: Reply(f"Reply {number}.")) as stub:
        first, _ = generate(model(stub), tmp_path, count=8)
        assert len(stub.requests) == 9
        # How replies are delivered makes no other replies.
        other = {"max_concurrency": 1, "requests_per_minute": 6e4, "timeout": 9, "max_retries": 0}
        again, manifest = generate(model(stub, name="other", **other), tmp_path, count=8)
        assert again.equals(first)
        assert len(stub.requests) == 9
        assert (manifest["asked"], manifest["taken_from_an_earlier_attempt"]) == (0, 8)
        more, _ = generate(model(stub), tmp_path, count=10)
        assert more[:8].equals(first)
        assert len(stub.requests) == 9 + 1 + 2
        # Whatever decides a reply asks anew, in the same file too.
        for change in (
            {"model": "m-2"},
            {"system_prompt": "Be kind."},
            {"max_tokens": 65},
            {"top_p": 0.9},
            {"seed_scope": "cell"},
            {"thinking": False},
            {"send_seed": False},
        ):
            sent = len(stub.requests)
            generate(model(stub, **change), tmp_path)
            assert len(stub.requests) == sent + 2, change
        for cell in ({"temperature": 1.0}, {"seed": 43}):
            sent = len(stub.requests)
            generate(model(stub), tmp_path, **cell)
            # Without seeds, every seed is still a draw of its own.
            generate(model(stub, send_seed=False), tmp_path, **cell)
            assert len(stub.requests) == sent + 4, cell
    assert KEY not in (tmp_path / "a.jsonl").read_text()


def test_a_reply_that_was_paid_for_is_read_again_by_a_better_reader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with stub_provider(lambda *_: Reply("<think>Hm.</think>Yes.")) as stub:
        first, _ = generate(model(stub), tmp_path)
        sent = len(stub.requests)
        assert (first["reasoning"][0], first["response"][0]) == ("Hm.", "Yes.")
        # As if reasoning had been split otherwise, and that had been corrected.
        monkeypatch.setattr(versions, "GENERATION", versions.GENERATION + 1)
        monkeypatch.setattr(
            generation_api, "split_reasoning", lambda text, *_: ("read again", text[-4:])
        )
        again, manifest = generate(model(stub), tmp_path)
        assert len(stub.requests) == sent
    assert (again["reasoning"][0], again["response"][0]) == ("read again", "Yes.")
    assert manifest["version"] == versions.GENERATION


def test_a_reply_of_an_earlier_version_holds_until_it_is_read_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with stub_provider(lambda *_: Reply("New.")) as stub:
        generate(model(stub), tmp_path)
        path = tmp_path / "a.jsonl"
        key = json.loads(path.read_text().splitlines()[0])["key"]
        # As it was kept before the completion was.
        old = {"key": key, "response": "Old.", "reasoning": None, "finish_reason": "stop"}
        old |= {"prompt_tokens": 3, "response_tokens": 2, "model": "m", "ending": "stop"}
        path.write_text(json.dumps(old) + "\n")
        sent = len(stub.requests)
        table, _ = generate(model(stub), tmp_path)
        assert (table["response"][0], len(stub.requests)) == ("Old.", sent)
        monkeypatch.setattr(versions, "GENERATION", versions.GENERATION + 1)
        table, _ = generate(model(stub), tmp_path)
        # And the first, harmless request.
        assert (table["response"][0], len(stub.requests)) == ("New.", sent + 2)


CHILD = """
import json, sys
from pathlib import Path
import polars as pl
from refusal_stability.generation.api import generate_cell
model, prompts, path = json.loads(sys.argv[1])
generate_cell(model, 0.7, 42, pl.DataFrame(prompts), Path(path))
"""


def test_after_a_kill_in_the_middle_no_message_is_asked_twice(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with stub_provider(lambda number, _: Reply(f"Reply {number}.", delay=0.05)) as stub:
        settings = model(stub, max_concurrency=2)
        arguments = json.dumps([settings, prompts(60).to_dict(as_series=False), str(path)])
        scripts = Path(__file__).parents[3] / "workflow/scripts"
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, arguments],
            env={"TEST_KEY": KEY, "PYTHONPATH": str(scripts)},
        )
        kill_after_lines(child, path, 20)
        lines = path.read_text().splitlines()
        kept = {json.loads(line)["content"] for line in lines if line.endswith("}")}
        assert 20 <= len(kept) < 60
        before = len(stub.requests)
        table, manifest = generate(settings, tmp_path, count=60)
        after = stub.messages()[before:]
    assert manifest["asked"] == 60 - len(kept)
    # The rest, each once, and the first, harmless request.
    assert len(after) == len(set(after)) == 60 - len(kept) + 1
    assert kept <= set(table["response"])
    # What was under way when it was killed is the only thing asked twice.
    twice = [message for message in set(stub.messages()) if stub.messages().count(message) > 1]
    assert len(set(twice) - {TRIAL}) <= 2


@pytest.mark.parametrize("status", [429, 500, 529])
def test_a_passing_fault_is_retried_by_the_sdk(status: int, tmp_path: Path) -> None:
    faulty = Reply(status=status, headers={"retry-after-ms": "10"})
    with stub_provider(lambda number, _: faulty if number in (1, 2) else Reply("No.")) as stub:
        table, manifest = generate(model(stub), tmp_path)
    assert table["response"].to_list() == ["No."]
    assert len(stub.requests) == 4
    assert manifest["failed"] == {}


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply(status=500, headers={"retry-after-ms": "1"}), "HTTP 500 x_error"),
        (Reply(delay=1), "no answer within 0.3 s"),
        (Reply(body={"choices": []}), "the answer is empty"),
        (Reply(message_body={"content": [{"type": "text"}]}), "the reply is no plain text"),
    ],
)
def test_a_failed_request_is_an_error_and_is_sent_again(
    reply: Reply, reason: str, tmp_path: Path
) -> None:
    with stub_provider(always(reply)) as stub:
        settings = model(stub, timeout=0.3, max_retries=0)
        table, manifest = generate(settings, tmp_path)
        assert table["finish_reason"].to_list() == ["error"]
        assert table["response"].to_list() == [""]
        assert list(manifest["failed"]) == [reason]
        assert not (tmp_path / "a.jsonl").exists()
        sent = len(stub.requests)
        generate(settings, tmp_path)
        assert len(stub.requests) == sent + 2


def test_what_a_filter_withheld_is_not_asked_again(tmp_path: Path) -> None:
    with stub_provider(always(Reply(status=400, code="content_filter"))) as stub:
        generate(model(stub), tmp_path)
        sent = len(stub.requests)
        table, _ = generate(model(stub), tmp_path)
        assert table["finish_reason"].to_list() == ["content_filter"]
        assert len(stub.requests) == sent


def test_an_outage_ends_the_job_and_keeps_what_was_paid_for(tmp_path: Path) -> None:
    down = Reply(status=503)
    with stub_provider(lambda number, _: Reply("No.") if number <= 10 else down) as stub:
        patient = model(stub, max_retries=0, max_concurrency=1)
        with pytest.raises(ProviderError, match="20 requests in a row failed, the last one: HTTP"):
            generate(patient, tmp_path, count=100)
        assert len(stub.requests) < 60
    assert len((tmp_path / "a.jsonl").read_text().splitlines()) == 10


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (Reply(status=401, code="invalid_api_key"), "the key is not accepted"),
        (Reply(status=404, code="model_not_found"), "it may have been retired"),
        (Reply(status=400, code="invalid_value"), "takes no seed (write send_seed: false)"),
    ],
)
def test_what_no_request_can_mend_is_one_line_before_anything_is_paid_for(
    reply: Reply, says: str, tmp_path: Path
) -> None:
    with stub_provider(lambda *_: reply) as stub:
        with pytest.raises(ProviderError) as caught:
            generate(model(stub), tmp_path, count=30)
        assert set(stub.messages()) == {TRIAL}
    assert says in str(caught.value)
    assert "Hint: " in str(caught.value)
    assert "\n" not in str(caught.value)
    assert KEY not in str(caught.value)
