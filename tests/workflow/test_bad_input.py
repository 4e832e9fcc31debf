"""A user's mistake is one line on the terminal, before any job starts, and costs nothing.

What each line says is tested in tests/unit/controller/test_check_config.py; here, that it gets
through Snakemake.
"""

import json
import os
import sys
from collections.abc import Callable

import polars as pl
import pytest

from helpers.workspace import Workspace
from refusal_stability.engine import hardware
from refusal_stability.schemas import storage
from refusal_stability.schemas.stages import Prompts


def misspelt(config: dict) -> None:
    config["models"][0]["max_token"] = 5


def empty_list(config: dict) -> None:
    config["seeds"] = []


def duplicate_model(config: dict) -> None:
    config["models"][1]["name"] = config["models"][0]["name"]


def bad_name(config: dict) -> None:
    config["judges"][0]["name"] = "../judge"


def text_temperature(config: dict) -> None:
    config["temperatures"] = ["0.7"]


def missing_folder(config: dict) -> None:
    config["models"][0]["weights"] = "./no/such/model"


MISTAKES = [
    (misspelt, "models[0]: unknown key 'max_token'", "did you mean 'max_tokens'?"),
    (empty_list, "seeds: the list is empty", "Hint:"),
    (duplicate_model, "models[1].name: 'tiny-llama' is already", "Hint:"),
    (bad_name, "judges[0].name: '../judge' cannot be a file name", "Hint:"),
    (text_temperature, "temperatures[0]: '0.7' is not a number", "without quotes"),
    (missing_folder, "models[0].weights: no model folder ./no/such/model", "Hint:"),
]


@pytest.mark.parametrize(("mistake", "says", "hint"), MISTAKES)
def test_a_mistake_in_the_configuration_is_one_line(
    workspace: Workspace, mistake: Callable[[dict], None], says: str, hint: str
) -> None:
    config = workspace.read_config()
    mistake(config)
    workspace.write_config(config)
    result = workspace.snakemake("--cores", "1")
    assert result.returncode != 0
    lines = [line for line in result.stderr.splitlines() if "error" in line.lower()]
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    assert "config/test.yaml: " in lines[0]
    assert says in lines[0]
    assert hint in lines[0]
    assert "Traceback" not in result.stderr
    assert not (workspace.folder / "results").exists()


@pytest.mark.skipif(
    any(map(os.path.exists, hardware._DEVICE_FILES)), reason="this machine has a GPU"
)
def test_no_gpu_where_one_is_asked_for_is_one_line_before_any_job(workspace: Workspace) -> None:
    config = workspace.read_config()
    config["judges"][0]["gpus"] = 1
    workspace.write_config(config)
    result = workspace.snakemake("--cores", "1")
    assert result.returncode != 0
    assert "error: judge: jobs ask for GPUs, and this machine has none. Hint: " in result.stderr
    assert "Traceback" not in result.stderr
    assert not workspace.run.exists()
    # What is left may need none.
    assert workspace.snakemake("--cores", "1", "all_prompts").returncode == 0


PROMPT_FILES = [
    ("a.csv", "question\nWhy?\n", "a.csv: there is no column 'prompt', only question"),
    ("a.csv", "prompt\nWhy?\n\nHow?\n", "a.csv, line 3: the prompt is empty"),
    ("a.jsonl", '{"prompt": "Why?"}\n{"prompt": " "}\n', "a.jsonl, line 2: the prompt is empty"),
]


@pytest.mark.parametrize(("name", "text", "says"), PROMPT_FILES)
def test_a_mistake_in_the_prompts_is_one_line_with_its_row(
    workspace: Workspace, name: str, text: str, says: str
) -> None:
    (workspace.folder / name).write_text(text, encoding="utf-8")
    config = workspace.read_config()
    config["prompts"] = {"source": "file", "path": name}
    workspace.write_config(config)
    result = workspace.snakemake("--cores", "1")
    assert result.returncode != 0
    assert f"error: {says}" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (workspace.folder / "results").exists()


REFUSED_SETTINGS = [
    (
        {"max_model_len": 80},
        ["tiny-llama: 12 prompt(s) are too long", "max_tokens 64 leaves 16. Hint: raise"],
    ),
    # The tiny model's own limit is 1,024.
    ({"max_model_len": 4096}, ["tiny-llama: vLLM refuses its settings", "max_model_len"]),
]


@pytest.mark.parametrize(("settings", "says"), REFUSED_SETTINGS)
def test_a_job_that_refuses_its_settings_is_one_line_and_loses_no_other_job(
    finished_copy: Workspace, settings: dict, says: list[str]
) -> None:
    cell = "results/reduced/responses/tiny-llama/T0_seed1.parquet"
    others = {
        file: file.read_bytes()
        for file in finished_copy.run.rglob("*.parquet")
        if file != finished_copy.folder / cell
    }
    good = finished_copy.read_config()
    bad = finished_copy.read_config()
    bad["models"][0].update(settings)
    finished_copy.write_config(bad)
    result = finished_copy.snakemake("--cores", "1", cell)
    assert result.returncode != 0
    line = next(line for line in result.stderr.splitlines() if line.startswith("error: "))
    for fragment in says:
        assert fragment in line
    assert "Traceback (most recent call last)" not in result.stderr
    # What the failed job would have replaced never passes for its result.
    assert not (finished_copy.folder / cell).exists()
    assert {file: file.read_bytes() for file in others} == others
    finished_copy.write_config(good)
    assert finished_copy.planned()["generate"] == 1


def test_a_missing_cell_is_named_by_the_job_that_needs_it(workspace: Workspace) -> None:
    # By hand, as Snakemake does not start a job whose input is missing.
    workspace.run.mkdir(parents=True)
    prompts = workspace.run / "prompts.parquet"
    row = {"prompt_id": "0123456789ab", "prompt": "?", "source": "s", "category": None}
    storage.write_parquet(pl.DataFrame([row]), prompts, Prompts)
    judge = {"name": "j", "kind": "string_match", "phrases": "resources/phrases/gcg.txt"}
    result = workspace.call(
        *(sys.executable, "workflow/scripts/judge.py", "--judge", json.dumps(judge)),
        *("--prompts", str(prompts), "--responses", "results/reduced/responses/m"),
        *("--temperatures", "0", "0.70", "--seeds", "1", "--cache", "results/cache.jsonl"),
        *("--output", "results/v.parquet", "--fetched"),
    )
    assert result.returncode == 1
    line = result.stderr.strip()
    assert line.startswith("error: results/reduced/responses/m/T0_seed1.parquet: ")
    assert "Hint: " in line
    assert "\n" not in line


def test_a_command_does_not_grow_with_the_number_of_cells(workspace: Workspace) -> None:
    config = workspace.read_config()
    # 2,000 cells; the system takes no argument of more than 128 KiB, and a command is one.
    config["models"] = config["models"][:1]
    config["seeds"] = list(range(1000))
    workspace.write_config(config)
    result = workspace.snakemake("--dry-run", "--printshellcmds")
    assert result.returncode == 0, result.stderr
    commands = [line for line in result.stdout.splitlines() if "python workflow/scripts/" in line]
    assert len(commands) > 2000
    # The seeds alone are 4 characters each.
    assert max(map(len, commands)) < 10_000
