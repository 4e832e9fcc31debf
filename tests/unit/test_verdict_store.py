"""What was paid for stays, whatever happens to the file."""

import json
import threading
from pathlib import Path

import pytest

from refusal_stability.verdict_store import VerdictStore, verdict_key


def test_a_verdict_is_there_for_the_next_attempt(tmp_path: Path) -> None:
    path = tmp_path / "cache/verdicts/a/b.jsonl"
    VerdictStore(path).add("k1", {"label": "REFUSE", "reason": None})
    VerdictStore(path).add("k2", {"label": "UNKNOWN", "reason": "why"})
    store = VerdictStore(path)
    assert store.get("k1") == {"key": "k1", "label": "REFUSE", "reason": None}
    assert store.get("k2")["reason"] == "why"
    assert store.get("k3") is None


@pytest.mark.parametrize(
    "torn", ['{"key": "k2", "lab', "", "\n", "[]\n", '{"key": "k2"}\n', '{"label": 3}', "\x00\xff"]
)
def test_a_torn_or_foreign_line_is_skipped_and_spoils_no_other(tmp_path: Path, torn: str) -> None:
    path = tmp_path / "a.jsonl"
    VerdictStore(path).add("k1", {"label": "REFUSE", "reason": None})
    with path.open("a", encoding="latin-1") as file:
        file.write(torn)
    VerdictStore(path).add("k3", {"label": "COMPLY", "reason": None})
    store = VerdictStore(path)
    assert [store.get(key) and store.get(key)["label"] for key in ("k1", "k2", "k3")] == [
        "REFUSE",
        None,
        "COMPLY",
    ]


def test_a_label_that_is_none_is_not_trusted(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"key": "k1", "label": "MAYBE"}) + "\n")
    assert VerdictStore(path).get("k1") is None


def test_threads_write_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    store = VerdictStore(path)

    def write(start: int) -> None:
        for number in range(start, start + 20):
            store.add(f"k{number}", {"label": "REFUSE", "reason": "x" * 500})

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
