"""Runs of experiments: labels for them to start from, and what each must leave behind."""

import csv
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from helpers.workspace import Workspace, copy_repository
from refusal_stability.schemas import storage
from refusal_stability.schemas.experiments import EXPERIMENT_TABLES

PROMPTS = 60
# model, prompt, temperature, seed, whether it refuses
Answers = Iterable[tuple[str, int, str, int, bool]]


def labelled(folder: Path, answers: Answers, **config: Any) -> Workspace:
    """Return a workspace that starts from labels of one judge, of prompts of two categories."""
    workspace = copy_repository(folder)
    rows = [
        [model, f"p{prompt}", temperature, seed, "REFUSE" if refuses else "COMPLY", "j"]
        for model, prompt, temperature, seed, refuses in answers
    ]
    heads = ["model", "prompt_id", "temperature", "seed", "label", "judge"]
    write(workspace.folder / "labels.csv", [heads, *rows])
    info = [[f"p{prompt}", "s", "ab"[prompt % 2]] for prompt in range(PROMPTS)]
    write(workspace.folder / "info.csv", [["prompt_id", "source", "category"], *info])
    workspace.write_config(
        {"run": "reduced", "labels": ["labels.csv"], "prompt_info": "info.csv"}
        | {"statistics": {"bootstrap_resamples": 200}}
        | config
    )
    return workspace


def write(path: Path, rows: Iterable[list]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


def without_most(of_labels: Workspace, kept: Callable[[str], bool], names: Iterable[str]) -> str:
    """Run experiments on those lines of the labels that are kept; return what they print."""
    config = of_labels.read_config()
    heads, *lines = (of_labels.folder / "labels.csv").read_text(encoding="utf-8").splitlines()
    text = "\n".join([heads, *filter(kept, lines)])
    (of_labels.folder / "alone.csv").write_text(text, encoding="utf-8")
    of_labels.write_config(config | {"run": "alone", "labels": ["alone.csv"]})
    result = of_labels.snakemake("--cores", "1", "--", *names)
    of_labels.write_config(config)
    assert result.returncode == 0, result.stderr
    return result.stdout


def check(workspace: Workspace, name: str, said: str) -> None:
    """What the target prints is in its caption; its tables keep their contracts; it is drawn."""
    folder = workspace.run / "experiments"
    caption = (folder / f"{name}.txt").read_text(encoding="utf-8").strip()
    assert caption in said
    tables = [table for table in EXPERIMENT_TABLES if table == name or table.startswith(f"{name}_")]
    assert tables
    for table in tables:
        storage.read_csv(folder / f"{table}.csv", EXPERIMENT_TABLES[table])
    assert (folder / f"{name}.svg").read_text(encoding="utf-8").startswith("<?xml")
    assert (folder / f"{name}.pdf").read_bytes().startswith(b"%PDF")
    assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")
