"""Prompts of the hub: the real libraries against a stand-in, each in a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from helpers.dataset_copies import HARMBENCH, LOADED, ROWS, clone, repository
from helpers.hub_server import TOKEN, HubRepository, hub
from helpers.workspace import REPOSITORY
from refusal_stability.prompts.load import load_prompts

ONE, TWO = "1" * 40, "2" * 40


PINNED = HubRepository(
    refs={"main": TWO, "v1": ONE},
    commits={
        ONE: repository({"default": {"train": [{"prompt": "old", "target": "t"}]}}),
        TWO: repository({"default": {"train": [{"prompt": "new", "target": "t"}]}}),
    },
)


GATED = HubRepository(PINNED.refs, PINNED.commits, gated=True)
CLOSED = HubRepository(PINNED.refs, PINNED.commits, gated=True, public_card=False)


def run_script(
    folder: Path, settings: dict[str, Any], *arguments: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    script = REPOSITORY / "workflow/scripts/prompts.py"
    outputs = ["--output", folder / "prompts.parquet"]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    environment |= {"HF_HOME": str(folder / "cache"), "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    return subprocess.run(
        [sys.executable, script, "--settings", json.dumps(settings), *outputs, *arguments],
        env=environment | variables,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def line_of(folder: Path, result: subprocess.CompletedProcess[str]) -> str:
    """The one line of a run that was refused, which left nothing behind."""
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert not list(folder.glob("*prompts.*"))
    line = result.stderr.splitlines()[-1]
    assert line.startswith("error: prompts")
    assert "Hint: " in line
    return line


def test_the_commit_of_a_dataset_on_the_hub_is_recorded(tmp_path: Path) -> None:
    files = repository(HARMBENCH)
    for revision, commit, text in (("v1", ONE, "old"), (TWO, TWO, "new"), ("main", TWO, "new")):
        with hub({"walledai/AdvBench": PINNED}) as address:
            result = run_script(
                tmp_path, {"source": "advbench", "revision": revision}, HF_ENDPOINT=address
            )
        assert result.returncode == 0, result.stderr
        table = pl.read_parquet(tmp_path / "prompts.parquet")
        assert table.select("prompt", "source").rows() == [(text, "advbench")]
        manifest = json.loads((tmp_path / "prompts.json").read_text())
        assert manifest["dataset_commits"] == {"advbench": f"walledai/AdvBench@{commit}"}
    harmbench = HubRepository({"main": ONE}, {ONE: files})
    with hub({"walledai/HarmBench": harmbench}) as address:
        result = run_script(tmp_path, {"source": "harmbench"}, HF_ENDPOINT=address)
    assert result.returncode == 0, result.stderr
    manifest = json.loads((tmp_path / "prompts.json").read_text())
    assert list(manifest["dataset_commits"]) == [source for _, source, _ in LOADED["harmbench"][2]]
    # Read once already, it needs no network; no other revision is taken for the one asked for.
    advbench = {"source": "advbench", "revision": TWO}
    offline = run_script(tmp_path, advbench | {"revision": ONE}, HF_HUB_OFFLINE="1")
    online = json.loads((tmp_path / "prompts.json").read_text())
    assert online["dataset_commits"] == manifest["dataset_commits"]
    assert offline.returncode == 1
    assert f"is {TWO}, not revision {ONE}" in offline.stderr.splitlines()[-1]
    # Nor where the hub alone could tell which commit a tag is, and does not.
    with hub({"walledai/AdvBench": PINNED}) as address:
        for variables, reason in (
            ({"HF_HUB_OFFLINE": "1"}, "(the hub cannot be reached)"),
            ({"HF_TOKEN": "expired"}, "(the hub refuses the token)"),
        ):
            tag = advbench | {"revision": "v9"}
            result = run_script(tmp_path, tag, **{"HF_ENDPOINT": address} | variables)
            assert result.returncode == 1
            assert reason in result.stderr.splitlines()[-1]
    result = run_script(tmp_path, advbench, HF_HUB_OFFLINE="1")
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    ("dataset", "settings", "variables", "fragments"),
    [
        (
            GATED,
            {},
            {},
            ["it is gated", "open https://huggingface.co/datasets/owner/name", "HF_TOKEN"],
        ),
        (CLOSED, {}, {}, ["it is gated", "datasets/owner/name and accept its terms", "HF_TOKEN"]),
        (PINNED, {}, {"HF_TOKEN": "expired"}, ["the hub refuses the token", "HF_TOKEN"]),
        (PINNED, {"revision": "v9"}, {}, ["it has no revision v9", "owner/name/commits/main"]),
        (PINNED, {"id": "owner/other"}, {}, ["the hub has none of this id", "owner/other"]),
        (PINNED, {"split": "dev"}, {}, ["dev", "train"]),
        (PINNED, {}, {"HF_HUB_OFFLINE": "1"}, ["the hub cannot be reached", "the network once"]),
    ],
    ids=["gated", "gated card", "token", "revision", "id", "split", "offline"],
)
def test_what_the_hub_refuses_is_one_line(
    tmp_path: Path,
    dataset: HubRepository,
    settings: dict[str, str],
    variables: dict[str, str],
    fragments: list[str],
) -> None:
    settings = {"source": "dataset", "id": "owner/name"} | settings
    with hub({"owner/name": dataset}) as address:
        result = run_script(tmp_path, settings, **{"HF_ENDPOINT": address} | variables)
    line = line_of(tmp_path, result)
    assert all(fragment in line for fragment in fragments), line


def test_a_dataset_that_is_larger_than_the_disk_is_not_downloaded(tmp_path: Path) -> None:
    settings = {"source": "dataset", "id": "owner/name"}
    # An exabyte: once as a file, once as the table made of it.
    huge = HubRepository(PINNED.refs, PINNED.commits, sizes={"default/train.parquet": 10**18})
    with hub({"owner/name": huge}) as address:
        line = line_of(tmp_path, run_script(tmp_path, settings, HF_ENDPOINT=address))
    assert "prompts: the dataset owner/name needs 2000000000.00 GB in " in line
    assert "Hint: make room, or set HF_HOME" in line
    assert not [request for request in huge.requests if "train.parquet" in request]


def test_a_token_opens_a_gated_dataset(tmp_path: Path) -> None:
    settings = {"source": "dataset", "id": "owner/name"}
    with hub({"owner/name": CLOSED}) as address:
        result = run_script(tmp_path, settings, HF_ENDPOINT=address, HF_TOKEN=TOKEN)
    assert result.returncode == 0, result.stderr
    # Nothing of the prompts is in the log.
    assert "new" not in result.stderr


def test_prompts_that_are_not_as_expected_are_not_written(tmp_path: Path) -> None:
    path = clone(tmp_path, repository({"default": {"train": ROWS}}))
    settings = {"source": "dataset", "path": path}
    _, manifest = load_prompts(settings)
    line = line_of(tmp_path, run_script(tmp_path, settings, "--expect", '{"count": 3}'))
    assert "prompts.expect: count 3; but the source has count 2, sha256 " in line
    assert manifest["sha256"] in line
    expect = json.dumps({"count": 2, "sha256": "0" * 64})
    assert "0" * 64 in line_of(tmp_path, run_script(tmp_path, settings, "--expect", expect))
    expect = json.dumps({"count": 2, "sha256": manifest["sha256"]})
    result = run_script(tmp_path, settings, "--expect", expect)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "prompts.parquet").exists()
