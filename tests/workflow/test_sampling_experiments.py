"""Experiments on how much to ask: on labels, and on a finished run of models."""

import numpy as np
import pytest

from helpers.experiment_runs import PROMPTS, check, labelled, without_most
from helpers.workspace import Workspace, reduced_config
from refusal_stability.schemas import storage
from refusal_stability.schemas.experiments import EXPERIMENT_TABLES

# Each experiment, and what is sure to be found in labels like those below.
EXPERIMENTS = {
    "pilot": "SSI falls with temperature: for the mean of all models, on 30 prompts",
    "seed_scope": "prompts move together",
    "adaptive": "After 2 of 5 seeds, ",
}
# What is less than the defaults, for tests: each asks models anew.
SMALL = {"pilot": {"prompts": 6, "temperatures": [0.0, 1.0], "seeds": [1, 2]}}
SMALL |= {"adaptive": {"first_seeds": 1, "audit": 0.1}}


@pytest.fixture(scope="module")
def of_labels(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Of labels by which qwen refuses all; at T > 0 llama refuses a half, seed by seed."""
    rng = np.random.default_rng(0)
    answers = []
    for temperature in ("0", "0.7", "1"):
        for seed in range(1, 6):
            # Seeds of llama lean to one side, for all prompts.
            chance = 0.3 + 0.1 * seed if temperature != "0" else 1.0
            for prompt in range(PROMPTS):
                for model, refuses in (("llama", rng.random() < chance), ("qwen", True)):
                    answers.append((model, prompt, temperature, seed, refuses))
    folder = tmp_path_factory.mktemp("labels")
    return labelled(folder, answers, experiments={"pilot": {"prompts": 30}})


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_on_labels_what_is_there_is_found(of_labels: Workspace, name: str) -> None:
    result = of_labels.snakemake("--cores", "1", "--", name)
    assert result.returncode == 0, result.stderr
    assert EXPERIMENTS[name] in result.stdout
    check(of_labels, name, result.stdout)


def test_one_model_at_one_temperature_is_no_error(of_labels: Workspace) -> None:
    said = without_most(
        of_labels, lambda line: line.startswith("qwen") and ",0,1," in line, EXPERIMENTS
    )
    assert "whether SSI falls with temperature cannot be said" in said


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
    cost = storage.read_csv(
        finished_copy.run / "experiments/pilot_cost.csv", EXPERIMENT_TABLES["pilot_cost"]
    )
    assert cost["hours"].min() > 0
    assert cost["jobs"].to_list()[-1] == 8 + 4
    # Nothing of the run itself is made again, and no experiment is part of it.
    assert finished_copy.planned() == {}
