"""Fetch before compute, through Snakemake: weights from a stand-in of the hub, jobs without it."""

import json
import os
import pty
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from helpers.hub_server import TOKEN, HubRepository, hub
from helpers.workspace import Workspace

# Snakemake refuses a path in which one digit stands 20 times in a row.
COMMIT, LATER = "0123456789" * 4, "9876543210" * 4
CELL = "responses/from-hub/T1_seed1"
FETCH = ("--cores", "2", "all_weights", "--forcerun", "fetch_weights")


@dataclass
class Fetched:
    """A workspace whose weights came from the hub, which is out of reach now."""

    workspace: Workspace
    repositories: dict[str, HubRepository]
    cache: Path
    screen: str  # what a terminal showed


def served(folder: Path) -> HubRepository:
    """A trained demo model as a gated repository of the hub."""
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    return HubRepository({"main": COMMIT}, {COMMIT: files, LATER: files}, gated=True)


def on_terminal(workspace: Workspace, *arguments: str) -> str:
    """Run Snakemake with its messages on a terminal and return what that showed."""
    ours, terminal = pty.openpty()
    snakemake = Path(sys.executable).parent / "snakemake"
    with subprocess.Popen(
        [snakemake, "--configfile", "config/test.yaml", *arguments],
        cwd=workspace.folder,
        stdout=subprocess.DEVNULL,
        stderr=terminal,
    ) as process:
        os.close(terminal)
        shown = b""
        # Reading fails when the last process has closed the other end.
        try:
            while part := os.read(ours, 1 << 16):
                shown += part
        except OSError:
            pass
        os.close(ours)
    assert process.returncode == 0, shown.decode()
    return shown.decode()


@pytest.fixture(scope="module")
def fetched(finished: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fetched]:
    """The demo's weights as a model and a judge of the hub, fetched with a token."""
    folder = tmp_path_factory.mktemp("fetch")
    shutil.copytree(finished.folder, folder / "copy", symlinks=True)
    workspace, cache = Workspace(folder / "copy"), folder / "home"
    repositories = {
        "tiny/llama": served(finished.run / "demo_models/tiny-llama"),
        "tiny/judge": served(finished.run / "demo_models/judge-good"),
    }
    config = workspace.read_config() | {"temperatures": [1.0], "seeds": [1]}
    config["models"] = [config["models"][0] | {"name": "from-hub", "weights": "tiny/llama"}]
    config["judges"] = [
        config["judges"][0] | {"name": "hub-judge", "weights": "tiny/judge", "revision": COMMIT}
    ]
    workspace.write_config(config)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HOME", str(cache))
        with hub({}, repositories) as address:
            patch.setenv("HF_ENDPOINT", address)
            patch.setenv("HF_TOKEN", TOKEN)
            screen = on_terminal(workspace, "--cores", "2", "all_weights")
        patch.delenv("HF_TOKEN")
        yield Fetched(workspace, repositories, cache, screen)


def test_the_terminal_shows_bars_and_the_log_says_what_was_fetched(fetched: Fetched) -> None:
    assert "Fetching tiny/llama, revision main" in fetched.screen
    assert "Fetching 6 files: 100%" in fetched.screen
    log = fetched.workspace.run / "logs/fetch_weights/tiny--llama@main.log"
    assert f"tiny/llama at {COMMIT}: 6 of 6 files are missing, 0.00 GB" in log.read_text()
    assert "%|" not in log.read_text()


def test_the_token_is_written_nowhere(fetched: Fetched) -> None:
    assert TOKEN not in fetched.screen
    workspace = fetched.workspace.folder
    for folder in (workspace / "results", workspace / ".snakemake", fetched.cache):
        files = [path for path in folder.rglob("*") if path.is_file()]
        assert not [path for path in files if TOKEN.encode() in path.read_bytes()]


def test_jobs_need_no_hub_and_take_the_commit_that_was_fetched(
    fetched: Fetched, finished: Workspace
) -> None:
    # Another program has looked up the branch since, and found a commit that is not whole here.
    repository = fetched.cache / "hub/models--tiny--llama"
    (repository / "refs/main").write_text(LATER)
    (repository / "snapshots" / LATER).mkdir()
    result = fetched.workspace.snakemake("--cores", "2", "all_verdicts")
    assert result.returncode == 0, result.stderr
    run = fetched.workspace.run
    manifest = json.loads((run / f"{CELL}.json").read_text())
    assert manifest["revision"] == manifest["model"]["revision"] == COMMIT
    verdicts = json.loads((run / "verdicts/hub-judge/from-hub.json").read_text())
    assert verdicts["revision"] == COMMIT
    # The same weights from a folder gave the same replies.
    replies = pl.read_parquet(run / f"{CELL}.parquet")["response"]
    folder = finished.run / "responses/tiny-llama/T1_seed1.parquet"
    assert replies.equals(pl.read_parquet(folder)["response"])
    repository.joinpath("refs/main").write_text(COMMIT)

    # Fetched again it is the same: no job runs again.
    assert fetched.workspace.planned("all_verdicts") == {}
    assert fetched.workspace.snakemake(*FETCH).returncode == 0
    assert fetched.workspace.planned("all_verdicts") == {}
    # A record that is lost is no reason to compute either.
    record = run / "weights/tiny--llama@main.json"
    kept = record.read_bytes()
    record.unlink()
    assert fetched.workspace.planned("all_verdicts") == {}
    assert fetched.workspace.snakemake("--cores", "2", "all_weights").returncode == 0
    assert record.read_bytes() == kept
    assert fetched.workspace.planned("all_verdicts") == {}
    # The branch has moved: what was asked of its old commit does not pass for the new one.
    fetched.repositories["tiny/llama"].refs["main"] = LATER
    with hub({}, fetched.repositories) as address, pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_ENDPOINT", address)
        patch.setenv("HF_TOKEN", TOKEN)
        assert fetched.workspace.snakemake(*FETCH).returncode == 0
    planned = fetched.workspace.planned("all_verdicts")
    assert planned == {"generate": 1, "judge": 1, "all_verdicts": 1}


def test_what_the_hub_refuses_is_one_line_and_the_rest_goes_on(fetched: Fetched) -> None:
    fetched.repositories["tiny/judge"].gated = False
    for record in fetched.workspace.run.glob("weights/*.json"):
        record.unlink()
    with hub({}, fetched.repositories) as address, pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_ENDPOINT", address)
        patch.setenv("HF_HOME", str(fetched.cache.with_name("empty")))
        result = fetched.workspace.snakemake("--cores", "2", "--keep-going", "all_weights")
    assert result.returncode != 0
    lines = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert lines[0].startswith("error: tiny/llama: revision main cannot be fetched (it is gated)")
    assert "open https://huggingface.co/tiny/llama and accept its terms" in lines[0]
    assert "HF_TOKEN" in lines[0]
    assert "Traceback" not in result.stderr
    records = [path.name for path in fetched.workspace.run.glob("weights/*.json")]
    assert records == [f"tiny--judge@{COMMIT}.json"]


def test_weights_that_are_gone_are_one_line_of_their_job(fetched: Fetched) -> None:
    config = fetched.workspace.read_config()
    config["seeds"] = [2]
    config["models"][0]["revision"] = COMMIT
    fetched.workspace.write_config(config)
    assert fetched.workspace.snakemake("--cores", "2", "all_weights").returncode == 0
    # As on a cluster that clears its scratch disk.
    shutil.rmtree(fetched.cache / "hub/models--tiny--llama")
    result = fetched.workspace.snakemake("--cores", "1", "all_responses")
    assert result.returncode != 0
    line = next(line for line in result.stderr.splitlines() if line.startswith("error: "))
    assert line.startswith(f"error: from-hub: the weights tiny/llama, revision {COMMIT}, are not")
    assert "snakemake all_weights --forcerun fetch_weights" in line
    assert "Traceback" not in result.stderr
