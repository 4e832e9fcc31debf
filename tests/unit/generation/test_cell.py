"""A cell's replies as they come: from the cache, then from the engine, and into the cache."""

from pathlib import Path
from types import SimpleNamespace

from refusal_stability.cache.results import CacheView
from refusal_stability.cache.store import reply_store
from refusal_stability.core.hashing import sha256_text
from refusal_stability.generation.cell import CellReplies

CELL = (1.0, 1)
KEY = sha256_text("the cell")


def requests(letters: str) -> list[str]:
    return [sha256_text(letter) for letter in letters]


def reply(text: str, finish_reason: str = "stop") -> dict:
    rest = {"response_tokens": 1, "dtype": "float32"}
    return {"text": text, "finish_reason": finish_reason, **rest}


def texts(cell: CellReplies) -> str:
    return "".join(row["text"] for row in cell.in_order())


def test_replies_come_from_the_cache_then_from_the_engine(tmp_path: Path) -> None:
    shelf = CacheView(reply_store(tmp_path), KEY)
    shelf.add({key: reply(letter) for key, letter in zip(requests("bd"), "BD", strict=True)})
    cell = CellReplies(CELL, requests("abcd"), shelf)
    assert cell.missing == [0, 2]
    # In any order; the last one ends it.
    cell.arrived(2, SimpleNamespace(), reply("C"))
    assert not cell.is_whole()
    assert shelf.get(requests("ac")) == {}
    cell.arrived(0, SimpleNamespace(), reply("A"))
    assert cell.is_whole()
    assert texts(cell) == "ABCD"
    assert len(cell.outputs) == 2
    again = CellReplies(CELL, requests("abcd"), shelf)
    assert (again.missing, again.is_whole(), texts(again)) == ([], True, "ABCD")


def test_a_reply_that_the_engine_failed_to_give_is_asked_for_again(tmp_path: Path) -> None:
    shelf = CacheView(reply_store(tmp_path), KEY)
    cell = CellReplies(CELL, requests("abcd"), shelf)
    for row, end in enumerate(("stop", "abort", "length", "error")):
        cell.arrived(row, SimpleNamespace(), reply("ABCD"[row], end))
    assert texts(cell) == "ABCD"
    assert CellReplies(CELL, requests("abcd"), shelf).missing == [1, 3]


def test_equal_requests_each_have_their_reply(tmp_path: Path) -> None:
    """Two prompts may be the same tokens: each is asked for, and one is kept."""
    shelf = CacheView(reply_store(tmp_path), KEY)
    cell = CellReplies(CELL, requests("aa"), shelf)
    assert cell.missing == [0, 1]
    for row in cell.missing:
        cell.arrived(row, SimpleNamespace(), reply("A"))
    assert texts(cell) == "AA"
    assert CellReplies(CELL, requests("aa"), shelf).missing == []


def test_without_a_cache_all_is_missing() -> None:
    cell = CellReplies(CELL, requests("ab"), None)
    assert cell.missing == [0, 1]
    for row in cell.missing:
        cell.arrived(row, SimpleNamespace(), reply("AB"[row]))
    assert texts(cell) == "AB"
