"""Keys of results: what decides a result makes another key, what does not makes none."""

import os
from pathlib import Path
from typing import Any

import pytest

from refusal_stability.cache.keys import (
    engine_identity,
    reply_key,
    request_key,
    verdict_key,
    weights_identity,
)
from refusal_stability.hub import checksums
from refusal_stability.hub.checksums import weights_checksum

MODEL = {
    "name": "m",
    "weights": "owner/m",
    "top_p": 1.0,
    "top_k": 0,
    "max_tokens": 64,
    "kv_cache_gib": 1,
    "seed_scope": "prompt",
    "thinking": False,
}
FACTS = {"engine_version": "1", "determinism": "default", "settings": {"dtype": "auto"}}
CELL = {"model": MODEL, "temperature": 1.0, "seed": 1}
ENGINE = {
    "facts": FACTS,
    "template_sha256": "t",
    "weights": {"id": "owner/m", "commit": "c"},
    "sharing": "cell",
}


def key_of(**changed: Any) -> str:
    """The key of the cell, but for some of its own facts or of its engine's."""
    engine = {name: changed.pop(name, value) for name, value in ENGINE.items()}
    return reply_key(**CELL | changed, engine=engine_identity(**engine))


@pytest.mark.parametrize(
    "changed",
    [
        {"model": MODEL | {"top_p": 0.9}},
        {"model": MODEL | {"top_k": 5}},
        {"model": MODEL | {"max_tokens": 65}},
        {"temperature": 0.0},
        {"seed": 2},
        {"facts": FACTS | {"engine_version": "2"}},
        {"facts": FACTS | {"settings": {"dtype": "float32"}}},
        {"facts": FACTS | {"determinism": "batch_invariant"}},
        {"template_sha256": "u"},
        {"weights": {"id": "owner/m", "commit": "d"}},
        {"weights": {"sha256": "c"}},
        {"sharing": "model"},
    ],
)
def test_what_decides_a_reply_makes_another_key(changed: dict) -> None:
    assert key_of(**changed) != key_of()


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"model": MODEL | {"name": "another", "weights": "elsewhere", "kv_cache_gib": 2}},
        # In the token ids and in the request's seed, if they are anywhere.
        {"model": MODEL | {"thinking": True, "system_prompt": "Hi.", "seed_scope": "cell"}},
        {"temperature": 1},
    ],
)
def test_what_decides_no_reply_makes_no_other_key(changed: dict) -> None:
    assert key_of(**changed) == key_of()


def test_sharing_counts_unless_the_engine_promises_that_batches_do_not() -> None:
    promised = FACTS | {"determinism": "batch_invariant"}
    assert key_of(facts=promised, sharing="model") == key_of(facts=promised)


def test_keys_of_verdicts() -> None:
    judge = {"name": "j", "kind": "vllm", "answer": "constrained"}
    engine = engine_identity(**ENGINE)
    key = verdict_key(judge, "rubric", engine)
    assert verdict_key(judge | {"name": "k"}, "rubric", engine) == key
    assert verdict_key(judge, "another", engine) != key
    assert verdict_key(judge | {"answer": "free_text"}, "rubric", engine) != key
    assert verdict_key(judge | {"kind": "classifier"}, "rubric", engine) != key
    assert verdict_key(judge | {"max_tokens": 9}, "rubric", engine) != key
    other = engine_identity(**ENGINE | {"weights": {"sha256": "c"}})
    assert verdict_key(judge, "rubric", other) != key


def test_requests_are_told_apart_by_their_tokens_and_their_seed() -> None:
    keys = [
        request_key([1, 23], 4),
        request_key([12, 3], 4),
        request_key([1, 23], 5),
        request_key([1, 23]),
        request_key([1, 23, 4]),
    ]
    assert len(set(keys)) == len(keys)
    assert request_key((1, 23), 4) == keys[0]


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        (folder / name).write_text(name)
    return folder


def test_the_checksum_is_of_what_an_engine_reads(checkpoint: Path, tmp_path: Path) -> None:
    first = weights_checksum(checkpoint, tmp_path / "memory")
    # What a training left beside the weights.
    (checkpoint / "optimizer.pt").write_text("large")
    (checkpoint / "runs").mkdir()
    assert weights_checksum(checkpoint, tmp_path / "memory") == first
    # The same files elsewhere, remembered elsewhere.
    checkpoint.rename(tmp_path / "moved")
    assert weights_checksum(tmp_path / "moved", tmp_path / "other") == first
    for change in (
        lambda: (tmp_path / "moved/model.safetensors").write_text("model.safetensorz"),
        lambda: (tmp_path / "moved/config.json").rename(tmp_path / "moved/other.json"),
        lambda: (tmp_path / "moved/generation_config.json").write_text("{}"),
    ):
        before = weights_checksum(tmp_path / "moved", tmp_path / "memory")
        change()
        assert weights_checksum(tmp_path / "moved", tmp_path / "memory") != before


def test_a_file_is_read_once_until_it_changes(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = []
    real = checksums.sha256_file
    monkeypatch.setattr(checksums, "sha256_file", lambda path: read.append(path.name) or real(path))
    memory = tmp_path / "memory"
    first = weights_checksum(checkpoint, memory)
    assert sorted(read) == ["config.json", "model.safetensors", "tokenizer.json"]
    read.clear()
    assert weights_checksum(checkpoint, memory) == first
    assert read == []
    # Another content of the same size, with the time of the old one set back.
    weights = checkpoint / "model.safetensors"
    stat = weights.stat()
    weights.write_text("MODEL.safetensors")
    os.utime(weights, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert weights_checksum(checkpoint, memory) != first
    assert read == ["model.safetensors"]
    # A note that somebody changed or cut off is not believed, and written again.
    read.clear()
    second = weights_checksum(checkpoint, memory)
    for note in memory.iterdir():
        text = note.read_text()
        note.write_text(text.replace(text[0], "0" if text[0] != "0" else "1", 1))
    assert weights_checksum(checkpoint, memory) == second
    assert len(read) == 3
    for note in memory.iterdir():
        note.write_text(note.read_text()[:70])
    assert weights_checksum(checkpoint, memory) == second
    assert len(read) == 6
    assert weights_checksum(checkpoint, memory) == second
    assert len(read) == 6


def test_weights_of_the_hub_are_their_commit_and_those_of_a_folder_their_files(
    checkpoint: Path, tmp_path: Path
) -> None:
    snapshot = tmp_path / "models--owner--m/snapshots" / ("a" * 40)
    identity = weights_identity({"weights": "owner/m"}, snapshot, tmp_path / "memory")
    assert identity == {"id": "owner/m", "commit": "a" * 40}
    identity = weights_identity({"weights": str(checkpoint)}, checkpoint, tmp_path / "memory")
    assert identity == {"sha256": weights_checksum(checkpoint, tmp_path / "memory")}
