"""The example configurations: what each plans on Slurm, and the resources of its jobs."""

import json
import re

import pytest
import yaml

from helpers.workspace import REPOSITORY, Workspace

EXAMPLES = sorted(path.name for path in (REPOSITORY / "config/examples").glob("*.yaml"))
ONE_GPU = {"gpu": 1, "nodes": 1, "tasks_per_gpu": 0, "mem_mb": 48000}
FOUR_GPUS = ONE_GPU | {"gpu": 4}
# Two processes, one a node, which srun starts and not the executor; memory is that of each node.
TWO_NODES = ONE_GPU | {"gpu": 16, "nodes": 2, "tasks": 2, "mpi": "srun"}
JUDGE = {"nodes": 1, "tasks_per_gpu": 0, "mem_mb": 200000}


def make_folder(workspace: Workspace) -> None:
    """The folder of weights that an example expects of its user."""
    folder = workspace.folder / "my-models/qwen2.5-7b-dpo"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "qwen2"}), encoding="utf-8")


def resources(workspace: Workspace, example: str) -> dict[tuple[str, str], dict[str, int | str]]:
    """{(rule, model): resources} of the jobs with a GPU that a dry run shows, and their commands.

    Jobs of one model must ask for the same.
    """
    for rules in ("generate", "judge"):
        # Of a job with a message, snakemake shows no resources.
        path = workspace.folder / f"workflow/rules/{rules}.smk"
        text = re.sub(r"    message:\n        .*\n", "", path.read_text(encoding="utf-8"))
        path.write_text(text, encoding="utf-8")
    # Without --cores, a dry run shows one thread for every job.
    result = workspace.snakemake(
        *("--profile", "slurm", "--configfile", f"config/examples/{example}", "--cores", "8"),
        *("--dry-run", "--printshellcmds"),
    )
    assert result.returncode == 0, result.stderr
    found = {}
    shown = re.findall(
        r"^rule (generate|judge):\n.*?^    wildcards: (.*?)$.*?^    resources: (.*?)$"
        r".*?^Shell command: (.*?)$",
        result.stdout + result.stderr,
        flags=re.MULTILINE | re.DOTALL,
    )
    for rule, wildcards, text, command in shown:
        model = re.search(r"model=([^,]+)", wildcards)[1]
        pairs = dict(pair.split("=", 1) for pair in text.split(", ") if "=" in pair)
        asked = {
            name: int(pairs[name]) if pairs[name].isdigit() else pairs[name]
            for name in ("gpu", "nodes", "tasks", "tasks_per_gpu", "mpi", "mem_mb")
            if name in pairs
        }
        srun = re.match(r"\s*srun .*?(?=python)", command)
        if srun:
            asked["command"] = srun[0].strip()
        assert found.setdefault((rule, model), asked) == asked
    return found


def test_large_models(workspace: Workspace) -> None:
    models = {
        "llama-3.3-70b-instruct": FOUR_GPUS,
        "llama-3.1-405b-instruct": TWO_NODES
        | {
            "command": "srun --nodes=2 --ntasks=2 --ntasks-per-node=1 --cpus-per-task=4"
            " --kill-on-bad-exit=1 --label"
        },
        "llama-3.3-70b-instruct-awq": ONE_GPU,
    }
    expected = {("generate", model): asked for model, asked in models.items()}
    expected |= {("judge", model): JUDGE | {"gpu": 4} for model in models}
    assert resources(workspace, "large.yaml") == expected


def test_thinking(workspace: Workspace) -> None:
    models = ("qwen3-8b", "qwen3-8b-thinking")
    expected = {("generate", model): ONE_GPU for model in models}
    expected |= {("judge", model): JUDGE | {"gpu": 1} for model in models}
    assert resources(workspace, "thinking.yaml") == expected
    planned = workspace.planned("--configfile", "config/examples/thinking.yaml")
    assert planned["generate"] == 2 * 3 * 5


def test_finetuned(workspace: Workspace) -> None:
    make_folder(workspace)
    models = ("qwen2.5-7b-instruct", "qwen2.5-7b-dpo")
    expected = {("generate", model): ONE_GPU for model in models}
    expected |= {("judge", model): JUDGE | {"gpu": 1} for model in models}
    assert resources(workspace, "finetuned.yaml") == expected


def test_weights_of_ones_own_must_be_there(workspace: Workspace) -> None:
    result = workspace.snakemake("--configfile", "config/examples/finetuned.yaml", "-n")
    assert result.returncode != 0
    assert (
        "config/examples/finetuned.yaml: models[1].weights: no model folder "
        "./my-models/qwen2.5-7b-dpo (it must hold a config.json). Hint: check the path"
    ) in result.stderr


@pytest.mark.parametrize("example", EXAMPLES)
def test_examples_share_no_run_with_another_configuration(example: str) -> None:
    def run(path: str) -> str:
        return yaml.safe_load((REPOSITORY / "config" / path).read_text(encoding="utf-8"))["run"]

    others = ["config.yaml", "demo.yaml", *(f"examples/{name}" for name in EXAMPLES)]
    assert [run(path) for path in others].count(run(f"examples/{example}")) == 1
