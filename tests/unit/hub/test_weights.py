"""Fetching weights: the real huggingface_hub against a stand-in of the hub, as a user runs it."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from helpers.hub_server import TOKEN, HubRepository, hub
from helpers.workspace import REPOSITORY
from refusal_stability.core.errors import InputError
from refusal_stability.hub.weights import label, pinned, refuse_pickles, wanted_files

ONE, TWO = "1" * 40, "2" * 40
NAME = "owner/name"
SHARDS = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
WANTED = {
    "LICENSE": b"some",
    "chat_template.jinja": b"{{ messages }}",
    "config.json": b"{}",
    "model-00001-of-00002.safetensors": b"first" * 1000,
    "model-00002-of-00002.safetensors": b"second" * 1000,
    "model.safetensors.index.json": json.dumps({"weight_map": SHARDS}).encode(),
    "tokenizer.json": b"{}",
}
NEEDLESS = {
    "consolidated.safetensors": b"the same in another order",
    "original/consolidated.00.pth": b"the same for torch",
    "pytorch_model.bin": b"the same once more",
    "onnx/model.onnx": b"the same for onnx",
}


def repository(**settings: Any) -> HubRepository:
    return HubRepository(
        refs={"main": TWO, "v1": ONE},
        commits={ONE: WANTED | {"config.json": b"old"}, TWO: WANTED | NEEDLESS},
        **settings,
    )


def environment(folder: Path, variables: Mapping[str, str]) -> dict[str, str]:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    return inherited | {"HF_HOME": str(folder / "home"), **variables}


def command(folder: Path, revision: str = "main", weights: str = NAME) -> list[str]:
    script = REPOSITORY / "workflow/scripts/fetch_weights.py"
    arguments = ["--weights", weights, "--revision", revision, "--output", folder / "record.json"]
    return list(map(str, [sys.executable, script, *arguments]))


def fetch(
    folder: Path, revision: str = "main", weights: str = NAME, **variables: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(folder, revision, weights),
        env=environment(folder, variables),
        capture_output=True,
        text=True,
        check=False,
    )


def record_of(folder: Path, result: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert result.returncode == 0, result.stderr
    return json.loads((folder / "record.json").read_text())


def line_of(folder: Path, result: subprocess.CompletedProcess[str]) -> str:
    """The one line of a fetch that was refused and left no record."""
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert not (folder / "record.json").exists()
    line = result.stderr.splitlines()[-1]
    assert line.startswith(f"error: {NAME}: revision ")
    assert "Hint: " in line
    return line


def snapshot(folder: Path, commit: str) -> Path:
    return folder / "home/hub/models--owner--name/snapshots" / commit


def cached(folder: Path) -> dict[str, bytes]:
    """What lies in the cache of a snapshot: {name: content}."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_the_files_that_the_engine_needs_are_fetched_once(tmp_path: Path) -> None:
    served = repository()
    with hub({}, {NAME: served}) as address:
        record = record_of(tmp_path, fetch(tmp_path, HF_ENDPOINT=address))
        assert cached(snapshot(tmp_path, TWO)) == WANTED
        sizes = {name: len(content) for name, content in WANTED.items()}
        assert record == {
            "weights": NAME,
            "revision": "main",
            "commit": TWO,
            "bytes": sum(sizes.values()),
            "files": sizes,
        }
        assert list(record["files"]) == sorted(sizes)
        # Again: nothing is sent, and the record is the same to the byte.
        before = (tmp_path / "record.json").read_bytes()
        served.requests.clear()
        assert record_of(tmp_path, fetch(tmp_path, HF_ENDPOINT=address)) == record
        assert (tmp_path / "record.json").read_bytes() == before
        assert not [request for request in served.requests if "resolve" in request]
        # A commit that is here asks for nothing at all.
        served.requests.clear()
        by_commit = record_of(tmp_path, fetch(tmp_path, TWO, HF_ENDPOINT=address))
        assert by_commit == record | {"revision": TWO}
        assert served.requests == []


@pytest.mark.parametrize(("revision", "commit"), [("main", TWO), (TWO, TWO), ("v1", ONE)])
def test_what_is_here_needs_no_network(tmp_path: Path, revision: str, commit: str) -> None:
    with hub({}, {NAME: repository()}) as address:
        record = record_of(tmp_path, fetch(tmp_path, revision, HF_ENDPOINT=address))
    (tmp_path / "record.json").unlink()
    # Nobody listens there any more.
    assert record_of(tmp_path, fetch(tmp_path, revision, HF_ENDPOINT=address)) == record
    assert record_of(tmp_path, fetch(tmp_path, revision, HF_HUB_OFFLINE="1")) == record
    assert record["commit"] == commit
    # Nor is a listing, which older versions of the library did not keep.
    for listing in (tmp_path / "home/hub/models--owner--name/trees").glob("*"):
        listing.unlink()
    assert record_of(tmp_path, fetch(tmp_path, revision, HF_HUB_OFFLINE="1")) == record
    (snapshot(tmp_path, commit) / "model-00002-of-00002.safetensors").unlink()
    (tmp_path / "record.json").unlink()
    line = line_of(tmp_path, fetch(tmp_path, revision, HF_HUB_OFFLINE="1"))
    assert "the hub cannot be reached" in line


@pytest.mark.parametrize(
    ("settings", "arguments", "variables", "fragments"),
    [
        (
            {"gated": True},
            {},
            {},
            ["it is gated", f"open https://huggingface.co/{NAME} and accept", "HF_TOKEN"],
        ),
        ({}, {}, {"HF_TOKEN": "hf_expired"}, ["the hub refuses the token", "HF_TOKEN"]),
        (
            {},
            {"revision": "v9"},
            {},
            ["it has no revision v9", f"https://huggingface.co/{NAME}/commits/main"],
        ),
        ({}, {"revision": "9" * 40}, {}, [f"it has no revision {'9' * 40}", "commits/main"]),
        ({}, {}, {"HF_HUB_OFFLINE": "1"}, ["the hub cannot be reached", "HF_HUB_OFFLINE unset"]),
        (
            {},
            {},
            {"HF_ENDPOINT": "http://127.0.0.1:9"},
            ["the hub cannot be reached", "the network once"],
        ),
        (
            # An exabyte.
            {"sizes": {"model-00002-of-00002.safetensors": 10**18}},
            {},
            {},
            ["needs 1000000000.00 GB in ", "GB free", "HF_HOME"],
        ),
    ],
    ids=["gated", "token", "revision", "commit", "offline", "no network", "disk"],
)
def test_what_cannot_be_fetched_is_one_line(
    tmp_path: Path,
    settings: dict[str, Any],
    arguments: dict[str, str],
    variables: dict[str, str],
    fragments: list[str],
) -> None:
    with hub({}, {NAME: repository(**settings)}) as address:
        result = fetch(tmp_path, **arguments, **{"HF_ENDPOINT": address} | variables)
    line = line_of(tmp_path, result)
    assert all(fragment in line for fragment in fragments), line
    assert "hf_expired" not in result.stderr
    # All that is checked before the first file.
    assert not list(tmp_path.rglob("config.json"))


def test_a_repository_that_there_is_not(tmp_path: Path) -> None:
    with hub({}, {NAME: repository()}) as address:
        result = fetch(tmp_path, weights="owner/other", HF_ENDPOINT=address)
    assert result.returncode == 1
    line = result.stderr.splitlines()[-1]
    assert line.startswith("error: owner/other: revision main cannot be fetched (the hub has none")
    assert "Hint: open https://huggingface.co/owner/other" in line


def test_a_repository_without_weights(tmp_path: Path) -> None:
    served = HubRepository({"main": ONE}, {ONE: {"config.json": b"{}", "model.gguf": b"x"}})
    with hub({}, {NAME: served}) as address:
        line = line_of(tmp_path, fetch(tmp_path, HF_ENDPOINT=address))
    assert "holds no weights in safetensors" in line


def test_a_token_opens_a_gated_repository_and_is_written_nowhere(tmp_path: Path) -> None:
    with hub({}, {NAME: repository(gated=True)}) as address:
        result = fetch(tmp_path, HF_ENDPOINT=address, HF_TOKEN=TOKEN)
    assert record_of(tmp_path, result)["commit"] == TWO
    assert TOKEN not in result.stdout + result.stderr
    assert not [name for name, content in cached(tmp_path).items() if TOKEN.encode() in content]


def test_an_interrupted_fetch_goes_on_with_the_next_file(tmp_path: Path) -> None:
    served = repository(broken={"model-00002-of-00002.safetensors"})
    with hub({}, {NAME: served}) as address:
        line = line_of(tmp_path, fetch(tmp_path, TWO, HF_ENDPOINT=address))
        assert "the hub cannot be reached" in line
        whole = cached(snapshot(tmp_path, TWO))
        assert whole == {k: v for k, v in WANTED.items() if k not in served.broken}
        served.broken.clear()
        served.requests.clear()
        result = fetch(tmp_path, TWO, HF_ENDPOINT=address)
        assert record_of(tmp_path, result)["commit"] == TWO
    assert f"1 of {len(WANTED)} files are missing" in result.stderr
    sent = [request for request in served.requests if request.startswith("GET /owner")]
    assert sent == [f"GET /{NAME}/resolve/{TWO}/model-00002-of-00002.safetensors"]
    assert cached(snapshot(tmp_path, TWO)) == WANTED


def test_bars_are_drawn_on_a_terminal_and_not_in_the_log(tmp_path: Path) -> None:
    ours, terminal = pty.openpty()
    with hub({}, {NAME: repository()}) as address, os.fdopen(ours, "rb", buffering=0) as screen:
        result = subprocess.run(
            [*command(tmp_path), "--progress", str(terminal)],
            env=environment(tmp_path, {"HF_ENDPOINT": address}),
            pass_fds=[terminal],
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        assert result.returncode == 0, result.stderr
        shown = screen.read(1 << 16).decode()
        os.close(terminal)
    assert f"Fetching {len(WANTED)} files: 100%" in shown
    assert "%|" not in result.stderr
    assert f"{NAME} at {TWO}" in result.stderr


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["pytorch_model.bin", "config.json"], ["config.json", "pytorch_model.bin"]),
        (["model.safetensors", "pytorch_model.bin"], ["model.safetensors"]),
        (["consolidated.safetensors", "params.json"], ["consolidated.safetensors", "params.json"]),
        (["a.pt", "b.pth"], ["a.pt"]),
        (["README.md", "sub/model.safetensors"], ["README.md"]),
        (["additional_chat_templates/a.jinja"], ["additional_chat_templates/a.jinja"]),
        ([], []),
    ],
)
def test_wanted_files(names: list[str], expected: list[str]) -> None:
    assert wanted_files(names) == expected


def test_a_label_can_be_a_file_name() -> None:
    assert label("owner/name", None) == "owner--name@main"
    assert label("owner/name", "refs/pr/1") == "owner--name@refs--pr--1"


def test_a_job_is_told_the_commit_that_was_fetched(tmp_path: Path) -> None:
    entry = {"name": "m", "weights": NAME, "revision": "main"}
    (tmp_path / "record.json").write_text(json.dumps({"commit": ONE}))
    assert pinned(entry, tmp_path / "record.json") == entry | {"revision": ONE}
    assert pinned(entry, None) == entry


def test_a_repository_of_pickles_is_refused_before_the_first_file(tmp_path: Path) -> None:
    files = {"config.json": b"{}", "pytorch_model.bin": b"weights"}
    served = HubRepository(refs={"main": TWO}, commits={TWO: files})
    with hub({}, {NAME: served}) as address:
        line = line_of(tmp_path, fetch(tmp_path, HF_ENDPOINT=address))
        assert "pytorch_model.bin, a pickle" in line
        assert not list(tmp_path.rglob("config.json"))
        allowed = subprocess.run(
            [*command(tmp_path), "--allow-pickle"],
            env=environment(tmp_path, {"HF_ENDPOINT": address}),
            capture_output=True,
            text=True,
            check=False,
        )
    assert list(record_of(tmp_path, allowed)["files"]) == sorted(files)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt"])
def test_weights_that_are_pickles_are_refused_unless_allowed(name: str) -> None:
    names = ["config.json", name]
    with pytest.raises(InputError, match=rf"^m: .* but {name}, a pickle.* Hint: .* allow_pickle"):
        refuse_pickles("m", names, allowed=False)
    refuse_pickles("m", names, allowed=True)


def test_a_pickle_beside_safetensors_is_not_read_and_so_not_refused() -> None:
    refuse_pickles("m", ["model.safetensors", "pytorch_model.bin", "optimizer.pt"], allowed=False)
