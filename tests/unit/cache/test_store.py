"""The store of results: what was added is found, and nothing else is trusted."""

import hashlib
import io
import os
import pickle
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refusal_stability.cache.store import Store, reply_store, verdict_store
from refusal_stability.core.errors import ContractError
from refusal_stability.core.hashing import sha256_text

SCRIPTS = Path(__file__).parents[3] / "workflow/scripts"
KEY, OTHER = sha256_text("a cell"), sha256_text("another cell")


def reply(request: str, text: str = "No.") -> dict:
    return {
        "request": sha256_text(request),
        "text": text,
        "finish_reason": "stop",
        "response_tokens": 2,
        "dtype": "float32",
    }


def texts(store: Store, requests: str, key: str = KEY) -> dict[str, str]:
    """{request: text} of those that are known, requests being single letters."""
    keys = {sha256_text(request): request for request in requests}
    return {keys[key]: row["text"] for key, row in store.get(key, keys).items()}


def parts(store: Store, key: str = KEY) -> list[Path]:
    return sorted((store.folder / key[:2] / key).iterdir())


def test_what_was_added_is_found_by_its_key_and_request(tmp_path: Path) -> None:
    store = reply_store(tmp_path)
    assert store.get(KEY, [sha256_text("a")]) == {}
    store.add(KEY, [reply("a", "Yes."), reply("b", 'é "\n')])
    store.add(KEY, [reply("c")])
    store.add(OTHER, [reply("a", "Maybe.")])
    assert texts(store, "abc") == {"a": "Yes.", "b": 'é "\n', "c": "No."}
    assert texts(store, "bx") == {"b": 'é "\n'}
    assert texts(store, "abc", OTHER) == {"a": "Maybe."}
    row = store.get(KEY, [sha256_text("c")])[sha256_text("c")]
    assert row == {k: v for k, v in reply("c").items() if k != "request"}
    # A part a call, none for nothing, and the same rows are the same part.
    store.add(KEY, [])
    store.add(KEY, [reply("b", 'é "\n'), reply("a", "Yes.")])
    assert len(parts(store)) == 2


def test_verdicts_are_kept_with_their_probabilities_and_without(tmp_path: Path) -> None:
    store = verdict_store(tmp_path)
    chances = {"p_refuse": 0.1 + 0.2, "p_partial": 1e-300, "p_comply": 0.7}
    rows = [
        {"request": sha256_text("a"), "label": "REFUSE", "reason": None, **chances},
        {"request": sha256_text("b"), "label": "UNKNOWN", "reason": "no verdict"}
        | dict.fromkeys(chances),
    ]
    store.add(KEY, [row | {"dtype": "float32"} for row in rows])
    found = store.get(KEY, [row["request"] for row in rows])
    for row in rows:
        request = row.pop("request")
        assert found[request] == row | {"dtype": "float32"}


@pytest.mark.parametrize("finish_reason", ["abort", "error"])
def test_a_failed_reply_is_never_kept(tmp_path: Path, finish_reason: str) -> None:
    store = reply_store(tmp_path)
    with pytest.raises(ContractError):
        store.add(KEY, [reply("a") | {"finish_reason": finish_reason}])
    row = {"request": sha256_text("a"), "label": "ERROR", "reason": "x", "dtype": "float32"}
    with pytest.raises(ContractError):
        verdict_store(tmp_path).add(
            KEY, [row | dict.fromkeys(("p_refuse", "p_partial", "p_comply"))]
        )
    assert list(tmp_path.rglob("*.*")) == []


letters = st.text("abcdef", min_size=1, max_size=4).map(lambda text: "".join(sorted(set(text))))


@given(adds=st.lists(letters, max_size=5), asked=letters, data=st.data())
def test_in_whatever_order_parts_come_the_same_is_found(
    tmp_path_factory: pytest.TempPathFactory, adds: list[str], asked: str, data: st.DataObject
) -> None:
    order = data.draw(st.permutations(range(len(adds))))
    found = []
    for numbers in (range(len(adds)), order):
        store = reply_store(tmp_path_factory.mktemp("store"))
        for number in numbers:
            # Each job has other replies to the same requests, as an engine on a GPU may.
            store.add(KEY, [reply(letter, f"{letter}{number}") for letter in adds[number]])
        found.append(texts(store, asked))
    assert found[0] == found[1]
    assert found[0].keys() == set(asked) & set("".join(adds))
    for letter, text in found[0].items():
        assert text in {f"{letter}{n}" for n, add in enumerate(adds) if letter in add}


# Adds ten parts, each with a request of its own and one that all have; reads in between.
WORK = """
import sys
from pathlib import Path
from refusal_stability.core.hashing import sha256_text
from refusal_stability.cache.store import reply_store

folder, key, number = sys.argv[1:]
store, all_have = reply_store(Path(folder)), sha256_text("all")
rest = {"finish_reason": "stop", "response_tokens": 2, "dtype": "float32"}
own = {}
for part in range(10):
    text = f"{number}-{part}"
    own[sha256_text(text)] = text
    store.add(key, [{"request": r, "text": text} | rest for r in (sha256_text(text), all_have)])
    found = store.get(key, [*own, all_have])
    assert {request: found[request]["text"] for request in own} == own
    assert all_have in found
"""


def test_many_processes_at_once_lose_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WORK, str(tmp_path), KEY]
    environment = os.environ | {"PYTHONPATH": str(SCRIPTS)}
    jobs = [subprocess.Popen([*command, str(number)], env=environment) for number in range(4)]
    assert [job.wait(timeout=60) for job in jobs] == [0] * 4
    store = reply_store(tmp_path)
    wanted = {sha256_text(f"{n}-{p}"): f"{n}-{p}" for n in range(4) for p in range(10)}
    found = store.get(KEY, wanted)
    assert {key: row["text"] for key, row in found.items()} == wanted
    # Nothing is left of what was written aside.
    assert len(parts(store)) == 40


def place(store: Store, content: bytes, name: str | None = None) -> Path:
    """Put a file among the parts of the cell, under the name of its own hash unless given."""
    folder = store.folder / KEY[:2] / KEY
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / (name or f"{hashlib.sha256(content).hexdigest()}.parquet")
    path.write_bytes(content)
    return path


def parquet(table: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    table.write_parquet(buffer)
    return buffer.getvalue()


def flipped(content: bytes, position: int) -> bytes:
    return content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :]


def test_what_was_damaged_is_ignored_counted_and_made_good_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = reply_store(tmp_path)
    store.add(KEY, [reply("a", "SECRET")])
    store.add(KEY, [reply("b")])
    path = next(part for part in parts(store) if b"SECRET" in part.read_bytes())
    whole = path.read_bytes()
    damaged = [b"", whole[:-1], whole[: len(whole) // 2], whole + b"x"]
    damaged += [flipped(whole, position) for position in range(0, len(whole), 97)]
    for content in damaged:
        path.write_bytes(content)
        assert texts(store, "ab") == {"b": "No."}
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert ": 1 file(s) are not what was kept there and are ignored" in said
        assert "SECRET" not in said
    # The same reply, generated again, takes its place.
    store.add(KEY, [reply("a", "SECRET")])
    assert texts(store, "ab") == {"a": "SECRET", "b": "No."}
    assert capsys.readouterr().err == ""


def test_foreign_files_are_ignored_and_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = reply_store(tmp_path / "cache")
    store.add(KEY, [reply("a")])
    store.add(OTHER, [reply("b", "of another cell")])
    good = pl.read_parquet(parts(store)[0])
    b = pl.lit(sha256_text("b"))
    foreign = [
        # Rightly named each, but for the last two.
        parts(store, OTHER)[0].read_bytes(),
        parquet(pl.concat([good, good.with_columns(key=pl.lit(OTHER), request=b)])),
        parquet(good.with_columns(request=b).drop("dtype")),
        parquet(good.with_columns(request=b, more=1)),
        parquet(good.with_columns(b.alias("request"), pl.col("response_tokens").cast(pl.String))),
        parquet(good.with_columns(request=b, response_tokens=pl.lit(-1, pl.Int64))),
        parquet(good.with_columns(request=b, text=pl.lit(None, pl.String))),
        parquet(good.with_columns(b.alias("request"), pl.col("finish_reason").cast(pl.String))),
        parquet(pl.concat([good, good]).with_columns(request=b)),
        pickle.dumps({"request": "b"}),
        b"PAR1" * 20,
        b"",
    ]
    for content in foreign:
        place(store, content)
    place(store, parquet(good.with_columns(request=b)), "0" * 64 + ".parquet")
    place(store, b"request,text\nb,No.\n", "notes.csv")
    # Links, also to what is good, a folder and a pipe are no parts.
    elsewhere = tmp_path / "elsewhere.parquet"
    elsewhere.write_bytes(parquet(good.with_columns(request=b)))
    folder = store.folder / KEY[:2] / KEY
    name = f"{hashlib.sha256(elsewhere.read_bytes()).hexdigest()}.parquet"
    (folder / name).symlink_to(elsewhere)
    (folder / f"{'1' * 64}.parquet").mkdir()
    os.mkfifo(folder / f"{'2' * 64}.parquet")
    # What is being written is no part yet, and nothing to speak of.
    place(store, b"half", ".0123.part")
    assert texts(store, "ab") == {"a": "No."}
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f": {len(foreign) + 5} file(s) are not what was kept there" in said


def test_a_place_that_is_no_folder_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cache").write_text("a file")
    store = reply_store(tmp_path / "cache")
    store.add(KEY, [reply("a")])
    said = capsys.readouterr().err
    assert ": 1 results are not kept for other runs (Not a directory)" in said
    assert store.get(KEY, [sha256_text("a")]) == {}
    assert ": cannot be read (Not a directory)" in capsys.readouterr().err
