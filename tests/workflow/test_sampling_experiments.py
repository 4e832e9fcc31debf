"""Experiments on how much to ask: on labels, and on a finished run of models."""

import csv
from pathlib import Path

import numpy as np
import pytest

from refusal_stability import files
from refusal_stability.experiment_contracts import EXPERIMENT_TABLES
from workspace import Workspace, copy_repository, reduced_config

# Each experiment, and what is sure to be found in labels like those below.
EXPERIMENTS = {
    "pilot": "SSI falls with temperature: for the mean of all models, on 30 prompts",
    "seed_scope": "prompts move together",
    "adaptive": "After 2 of 5 seeds, ",
}
# What is less than the defaults, for tests: each asks models anew.
SMALL = {"pilot": {"prompts": 6, "temperatures": [0.0, 1.0], "seeds": [1, 2]}}
SMALL |= {"adaptive": {"first_seeds": 1, "audit": 0.1}}


def check(workspace: Workspace, name: str, said: str) -> None:
    """What the target prints is in its caption; its tables keep their contracts; it is drawn."""
    folder = workspace.run / "experiments"
    caption = (folder / f"{name}.txt").read_text(encoding="utf-8").strip()
    assert caption in said
    tables = sorted(folder.glob(f"{name}*.csv"))
    assert tables
    for table in tables:
        files.read_csv(table, EXPERIMENT_TABLES[table.stem])
    assert (folder / f"{name}.svg").read_text(encoding="utf-8").startswith("<?xml")
    assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def write_labels(folder: Path) -> None:
    """Write labels of one judge: qwen refuses all; at T > 0 llama refuses a half, seed by seed."""
    rng = np.random.default_rng(0)
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(["model", "prompt_id", "temperature", "seed", "label", "judge"])
        for temperature in ("0", "0.7", "1"):
            for seed in range(1, 6):
                # Seeds of llama lean to one side, for all prompts.
                chance = 0.3 + 0.1 * seed if temperature != "0" else 1.0
                for prompt in range(60):
                    for model, refuses in (("llama", rng.random() < chance), ("qwen", True)):
                        label = "REFUSE" if refuses else "COMPLY"
                        out.writerow([model, f"p{prompt}", temperature, seed, label, "j"])
    rows = [[f"p{prompt}", "s", "ab"[prompt % 2]] for prompt in range(60)]
    with (folder / "info.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["prompt_id", "source", "category"], *rows])


@pytest.fixture(scope="module")
def of_labels(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = copy_repository(tmp_path_factory.mktemp("labels"))
    write_labels(workspace.folder)
    workspace.write_config(
        {"run": "reduced", "labels": ["labels.csv"], "prompt_info": "info.csv"}
        | {"statistics": {"bootstrap_resamples": 200}, "experiments": {"pilot": {"prompts": 30}}}
    )
    return workspace


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_on_labels_what_is_there_is_found(of_labels: Workspace, name: str) -> None:
    result = of_labels.snakemake("--cores", "1", "--", name)
    assert result.returncode == 0, result.stderr
    assert EXPERIMENTS[name] in result.stdout
    check(of_labels, name, result.stdout)


def test_one_model_at_one_temperature_is_no_error(of_labels: Workspace) -> None:
    config = of_labels.read_config()
    header, *lines = (of_labels.folder / "labels.csv").read_text(encoding="utf-8").splitlines()
    alone = [line for line in lines if line.startswith("qwen") and ",0,1," in line]
    text = "\n".join([header, *alone])
    (of_labels.folder / "alone.csv").write_text(text, encoding="utf-8")
    of_labels.write_config(config | {"run": "alone", "labels": ["alone.csv"]})
    result = of_labels.snakemake("--cores", "1", "--", *EXPERIMENTS)
    of_labels.write_config(config)
    assert result.returncode == 0, result.stderr
    assert "whether SSI falls with temperature cannot be said" in result.stdout


@pytest.mark.parametrize("name", ["pilot", "adaptive"])
def test_another_seed_of_the_bootstrap_draws_the_same_prompts(
    workspace: Workspace, name: str
) -> None:
    commands = []
    # One of two seeds, so that there is a second phase.
    few = {"first_seeds": 1}
    for seed in (1, 2):
        workspace.write_config(
            reduced_config()
            | {"statistics": {"bootstrap_seed": seed}, "experiments": {"adaptive": few}}
        )
        result = workspace.snakemake("--dry-run", "--printshellcmds", "--", name)
        assert result.returncode == 0, result.stderr
        asks = (line for line in result.stdout.splitlines() if "_prompts.py" in line)
        commands.append(sorted(asks))
    assert any("--seed" in line for line in commands[0])
    assert commands[0] == commands[1]


def test_a_model_without_temperatures_has_no_pilot(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEY_OF_TESTS", "no key")
    fixed = {"name": "fixed", "kind": "openai", "model": "o3", "api_key_env": "KEY_OF_TESTS"}
    config = reduced_config()
    config |= {"models": [*config["models"], fixed], "temperatures": [1]}
    workspace.write_config(config)
    result = workspace.snakemake("--dry-run", "pilot")
    assert result.returncode == 1
    assert "error: pilot compares temperatures, and fixed takes none" in result.stderr
    assert "Traceback" not in result.stderr


def test_on_the_demo_all_run(finished_copy: Workspace) -> None:
    config = finished_copy.read_config()
    finished_copy.write_config(config | {"experiments": SMALL})
    result = finished_copy.snakemake("--cores", "2", "--", *EXPERIMENTS)
    assert result.returncode == 0, result.stderr
    for name in EXPERIMENTS:
        check(finished_copy, name, result.stdout)
    # The jobs of the pilot were timed.
    cost = files.read_csv(
        finished_copy.run / "experiments/pilot_cost.csv", EXPERIMENT_TABLES["pilot_cost"]
    )
    assert cost["hours"].min() > 0
    assert cost["jobs"].to_list()[-1] == 8 + 4
    # Nothing of the run itself is made again, and no experiment is part of it.
    assert finished_copy.planned() == {}
