"""What was paid for stays, whatever happens to the file."""

import json
import threading
from pathlib import Path

import pytest

from refusal_stability.api.client import Answer
from refusal_stability.core import versions
from refusal_stability.judging.verdict_store import VerdictStore, verdict_key

MAX_TOKENS = 64


def answer(text: str, ending: str = "stop") -> Answer:
    return Answer(text, ending, "m", 5, 2)


def test_an_answer_is_there_for_the_next_attempt(tmp_path: Path) -> None:
    path = tmp_path / "cache/verdicts/a/b.jsonl"
    VerdictStore(path, MAX_TOKENS).keep("k1", answer("Label: REFUSE"))
    VerdictStore(path, MAX_TOKENS).keep("k2", answer("Label: REFUSE", "length"))
    store = VerdictStore(path, MAX_TOKENS)
    first = store.get("k1")
    assert (first["label"], first["reason"], first["input_tokens"]) == ("REFUSE", None, 5)
    assert store.get("k2")["label"] == "UNKNOWN"
    assert store.get("k2")["reason"] == "the answer was cut off after 64 tokens"
    assert store.get("k3") is None


@pytest.mark.parametrize(
    "torn", ['{"key": "k2", "lab', "", "\n", "[]\n", '{"key": "k2"}\n', '{"label": 3}', "\x00\xff"]
)
def test_a_torn_or_foreign_line_is_skipped_and_spoils_no_other(tmp_path: Path, torn: str) -> None:
    path = tmp_path / "a.jsonl"
    VerdictStore(path, MAX_TOKENS).keep("k1", answer("REFUSE"))
    with path.open("a", encoding="latin-1") as file:
        file.write(torn)
    VerdictStore(path, MAX_TOKENS).keep("k3", answer("COMPLY"))
    store = VerdictStore(path, MAX_TOKENS)
    assert [store.get(key) and store.get(key)["label"] for key in ("k1", "k2", "k3")] == [
        "REFUSE",
        None,
        "COMPLY",
    ]


@pytest.mark.parametrize(
    "entry",
    [
        {"key": "k1", "label": "MAYBE"},
        {"key": "k1", "text": None, "ending": "stop"},
        {"key": "k1", "text": "REFUSE"},
        {"key": "k1", "text": ["REFUSE"], "ending": "stop"},
        {"key": ["k1"], "text": "REFUSE", "ending": "stop"},
        {"key": {}, "text": "REFUSE", "ending": "stop"},
    ],
)
def test_what_is_no_answer_is_not_trusted(tmp_path: Path, entry: dict) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(entry) + "\n")
    assert VerdictStore(path, MAX_TOKENS).get("k1") is None


def test_a_label_of_an_earlier_version_holds_until_answers_are_read_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"key": "k1", "label": "REFUSE", "reason": None}) + "\n")
    assert VerdictStore(path, MAX_TOKENS).get("k1")["label"] == "REFUSE"
    monkeypatch.setattr(versions, "JUDGING", versions.JUDGING + 1)
    assert VerdictStore(path, MAX_TOKENS).get("k1") is None


def test_threads_write_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    store = VerdictStore(path, MAX_TOKENS)

    def write(start: int) -> None:
        for number in range(start, start + 20):
            store.keep(f"k{number}", answer("x" * 500))

    threads = [threading.Thread(target=write, args=(start,)) for start in (0, 20, 40, 60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    assert sorted(entry["key"] for entry in entries) == sorted(f"k{n}" for n in range(80))


def test_the_key_changes_with_whatever_the_verdict_depends_on() -> None:
    key = verdict_key({"model": "a", "temperature": 0}, "message")
    assert key == verdict_key({"temperature": 0, "model": "a"}, "message")
    others = {
        verdict_key({"model": "b", "temperature": 0}, "message"),
        verdict_key({"model": "a", "temperature": None}, "message"),
        verdict_key({"model": "a", "temperature": 0}, "message2"),
    }
    assert len(others | {key}) == 4
