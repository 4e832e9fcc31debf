"""Prompts through Snakemake: several sources, and what a change of them reruns."""

import json
from pathlib import Path

import polars as pl

from helpers.workspace import Workspace


def with_prompts(workspace: Workspace, prompts: dict) -> None:
    workspace.write_config(workspace.read_config() | {"prompts": prompts})


def planned_prompts(workspace: Workspace) -> bool:
    return "prompts" in workspace.planned("all_prompts")


def make(workspace: Workspace) -> dict:
    result = workspace.snakemake("--cores", "1", "all_prompts")
    assert result.returncode == 0, result.stderr
    return json.loads((workspace.run / "prompts.json").read_text(encoding="utf-8"))


def write(path: Path, *prompts: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(["prompt", *prompts, ""]), encoding="utf-8")


def test_several_sources_and_what_reruns_them(workspace: Workspace) -> None:
    write(workspace.folder / "mine.csv", "Why?", "How?")
    write(workspace.folder / "copy/train.csv", "When?", "Why?")
    (workspace.folder / "copy/README.md").write_text("A card.\n")
    prompts: dict = {
        "sources": [
            {"source": "file", "path": "mine.csv"},
            {"source": "dataset", "path": "copy"},
            {"source": "demo", "per_category": 1},
        ]
    }
    with_prompts(workspace, prompts)
    manifest = make(workspace)
    table = pl.read_parquet(workspace.run / "prompts.parquet")
    assert table["prompt"][:3].to_list() == ["Why?", "How?", "When?"]
    assert manifest["count"] == table.height == 3 + 10
    assert manifest["duplicates_dropped"] == 1
    assert not planned_prompts(workspace)

    # What is expected makes no prompt; what is not as expected is one line before any job.
    expect = {"count": 13, "sha256": manifest["sha256"]}
    with_prompts(workspace, prompts | {"expect": expect})
    assert not planned_prompts(workspace)
    with_prompts(workspace, prompts | {"expect": expect | {"count": 14}})
    result = workspace.snakemake("--cores", "1", "all_prompts")
    assert result.returncode != 0
    errors = [line for line in result.stderr.splitlines() if "error" in line.lower()]
    assert errors == [line for line in errors if line.startswith("error: prompts.expect: count 14")]
    assert "results/reduced/prompts.json has count 13" in errors[0]
    assert (workspace.run / "prompts.parquet").exists()

    # Any file of any source counts.
    with_prompts(workspace, prompts)
    write(workspace.folder / "copy/train.csv", "Where?")
    assert planned_prompts(workspace)
    assert make(workspace)["count"] == 13
    write(workspace.folder / "mine.csv", "Why?")
    assert planned_prompts(workspace)


def test_a_job_that_finds_other_prompts_than_expected(workspace: Workspace) -> None:
    with_prompts(workspace, {"source": "demo", "limit": 12, "expect": {"count": 11}})
    result = workspace.snakemake("--cores", "1", "all_prompts")
    assert result.returncode != 0
    assert "error: prompts.expect: count 11; but the source has count 12, sha256" in result.stderr
    assert "Traceback" not in result.stderr
    assert not list(workspace.run.glob("*prompts.*"))
