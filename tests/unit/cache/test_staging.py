"""What a shared engine keeps, and how it comes to its place."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from refusal_stability.cache.collect import is_whole, take
from refusal_stability.cache.staging import JobSeconds, StagedResults, work_key
from refusal_stability.core.errors import InputError
from refusal_stability.schemas.stages import Responses

NAME = "T0_seed1"
KEY = work_key("this")
TABLE = pl.DataFrame(
    {
        "prompt_id": ["0123456789ab"],
        "temperature": [0.0],
        "seed": [1],
        "response": ["No."],
        "reasoning": [None],
        "finish_reason": ["stop"],
        "prompt_tokens": [3],
        "response_tokens": [2],
    }
)


@pytest.fixture
def work(tmp_path: Path) -> StagedResults:
    work = StagedResults(tmp_path / "kept", Responses)
    work.keep(NAME, KEY, TABLE, {"count": 1})
    return work


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_what_was_kept_is_there_under_its_key_only(work: StagedResults) -> None:
    assert work.has(NAME, KEY)
    assert not work.has(NAME, work_key("that"))
    assert work.missing({NAME: KEY, "T0_seed2": KEY}) == ["T0_seed2"]


@pytest.mark.parametrize(
    "harm",
    [
        flip,
        Path.unlink,
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.with_suffix(".json").unlink(),
        lambda path: path.with_suffix(".json").write_text("{"),
        lambda path: path.with_suffix(".json").write_text("[]"),
        lambda path: path.with_suffix(".json").write_text("{}"),
    ],
    ids=["flipped", "gone", "truncated", "no manifest", "torn", "a list", "empty"],
)
def test_what_is_harmed_is_neither_there_nor_taken(
    work: StagedResults, tmp_path: Path, harm: Callable[[Path], object]
) -> None:
    kept = tmp_path / f"kept/{NAME}.parquet"
    marker = tmp_path / "marker"
    marker.touch()
    harm(kept)
    assert not work.has(NAME, KEY)
    with pytest.raises(InputError, match=r"T0_seed1.parquet: not as the engine left it. Hint: "):
        take(kept, marker, tmp_path / "place.parquet", patience=0)
    assert not (tmp_path / "place.parquet").exists()
    assert not marker.exists()


def test_what_breaks_the_contract_is_not_there(work: StagedResults, tmp_path: Path) -> None:
    other = StagedResults(tmp_path / "kept", Responses)
    path = tmp_path / f"kept/{NAME}.parquet"
    TABLE.drop("seed").write_parquet(path)
    manifest = json.loads(path.with_suffix(".json").read_text())
    manifest["file_sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    path.with_suffix(".json").write_text(json.dumps(manifest))
    assert is_whole(path)
    assert not other.has(NAME, KEY)
    assert not work.has(NAME, KEY)


def test_taking_replaces_what_is_in_the_place(work: StagedResults, tmp_path: Path) -> None:
    assert work.has(NAME, KEY)
    place = tmp_path / "place.parquet"
    place.write_text("older")
    take(tmp_path / f"kept/{NAME}.parquet", tmp_path / "marker", place)
    assert pl.read_parquet(place).equals(TABLE)
    assert json.loads((tmp_path / "place.json").read_text())["count"] == 1
    # A link: a million replies are not on the disk twice.
    assert place.stat().st_nlink == 2


def test_keeping_again_leaves_what_was_taken(work: StagedResults, tmp_path: Path) -> None:
    place = tmp_path / "place.parquet"
    take(tmp_path / f"kept/{NAME}.parquet", tmp_path / "marker", place)
    before = place.read_bytes()
    work.keep(NAME, KEY, TABLE.with_columns(response=pl.lit("Yes.")), {"count": 1})
    assert place.read_bytes() == before


def test_keys_tell_all_parts_apart() -> None:
    assert work_key("a", {"b": 1}) == work_key("a", {"b": 1})
    assert len({work_key("a", "b"), work_key("ab"), work_key(["a", "b"]), work_key("b", "a")}) == 4


def test_seconds_are_shared_out_without_rest() -> None:
    seconds = JobSeconds()
    # The first has all since the process began.
    assert seconds.lap() > 0.05
    assert 0 <= seconds.lap() < 1
