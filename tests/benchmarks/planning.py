"""What planning costs: dry runs of the study and of 8,000 cells, beside a bare Snakefile.

    .venv/bin/python tests/benchmarks/planning.py [--repeats 3]

Runs `snakemake -n` in a copy of the repository. The bare Snakefile has the same jobs and the same
files of each job (inputs, outputs, log, benchmark), written out as plainly as Snakemake allows; it
is planned with the same profile, by turns with the real one. Machines are noisy: compare the
ratios, which are of medians, and the CPU times, which other programs disturb less.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).parents[1]))

from workspace import Workspace, copy_repository

# Rules with the run's real numbers of files, and nothing else. It is not in a folder of its own:
# the profiles are found beside it.
BARE = """
MODELS = {models}
JUDGES = {judges}
TEMPERATURES = {temperatures}
SEEDS = {seeds}
TABLES = expand("bare/tables/{{n}}.csv", n=range({tables}))
CELLS = expand(
    "bare/responses/{{model}}/T{{temperature}}_seed{{seed}}.parquet",
    model=MODELS, temperature=TEMPERATURES, seed=SEEDS,
)
VERDICTS = expand("bare/verdicts/{{judge}}/{{model}}.parquet", judge=JUDGES, model=MODELS)


rule all:
    input: TABLES, expand("bare/figures/{{judge}}/{{n}}.svg", judge=JUDGES, n=range({figures}))

rule prompts:
    output: "bare/prompts.parquet", "bare/prompts.json"
    log: "bare/logs/prompts.log"
    shell: "touch {{output}}"

rule fetch_weights:
    output: "bare/fetched.json"
    log: "bare/logs/fetch_weights.log"
    shell: "touch {{output}}"

rule generate:
    input: "bare/prompts.parquet", "bare/fetched.json"
    output:
        "bare/responses/{{model}}/T{{temperature}}_seed{{seed}}.parquet",
        "bare/responses/{{model}}/T{{temperature}}_seed{{seed}}.json"
    log: "bare/logs/generate/{{model}}/T{{temperature}}_seed{{seed}}.log"
    benchmark: "bare/benchmarks/generate/{{model}}/T{{temperature}}_seed{{seed}}.tsv"
    shell: "touch {{output}}"

rule judge:
    input:
        "bare/prompts.parquet", "bare/fetched.json", "resources/rubrics/three_way.txt",
        expand(
            "bare/responses/{{model}}/T{{temperature}}_seed{{seed}}.parquet",
            temperature=TEMPERATURES, seed=SEEDS, allow_missing=True,
        )
    output: "bare/verdicts/{{judge}}/{{model}}.parquet", "bare/verdicts/{{judge}}/{{model}}.json"
    log: "bare/logs/judge/{{judge}}/{{model}}.log"
    benchmark: "bare/benchmarks/judge/{{judge}}/{{model}}.tsv"
    shell: "touch {{output}}"

rule stability:
    input: expand("bare/verdicts/{{judge}}/{{model}}.parquet", model=MODELS, allow_missing=True)
    output: "bare/stability/{{judge}}.parquet"
    log: "bare/logs/stability/{{judge}}.log"
    shell: "touch {{output}}"

rule statistics:
    input:
        "bare/prompts.parquet", expand("bare/stability/{{judge}}.parquet", judge=JUDGES),
        VERDICTS, CELLS
    output: TABLES
    log: "bare/logs/statistics.log"
    benchmark: "bare/benchmarks/statistics.tsv"
    shell: "touch {{output}}"

rule figures:
    input: "bare/stability/{{judge}}.parquet", TABLES
    output:
        expand("bare/figures/{{judge}}/{{n}}.svg", n=range({figures}), allow_missing=True),
        expand("bare/figures/{{judge}}/{{n}}.png", n=range({figures}), allow_missing=True)
    log: "bare/logs/figures/{{judge}}.log"
    shell: "touch {{output}}"
"""
N_TABLES, N_FIGURES = 18, 10
OURS = ("--configfile", "config/test.yaml")
BARES = ("--snakefile", "bare.smk")


@dataclass(frozen=True)
class Cost:
    """Of one dry run: its jobs, seconds on the clock, seconds of CPU, and peak memory in MiB."""

    jobs: int
    wall: float
    cpu: float
    memory: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    with tempfile.TemporaryDirectory() as folder:
        workspace = copy_repository(Path(folder))
        study = config_with_two_judges(workspace)
        large = study | {"models": models(study, 20), "seeds": list(range(100))}
        print(f"{'':40} {'jobs':>6} {'wall s':>7} {'CPU s':>7} {'MiB':>6}")
        measure(workspace, "80 cells", study, repeats, ())
        measure(workspace, "80 cells, --profile slurm", study, repeats, ("--profile", "slurm"))
        measure(workspace, "8,000 cells", large, repeats, ())
        measure(workspace, "8,000 cells, --profile slurm", large, repeats, ("--profile", "slurm"))
        # 2,000 cells and all that follows are made, and a model of 400 cells is added.
        made = large | {"models": models(study, 5, gpus=0), "run": "made"}
        made["judges"] = [judge | {"gpus": 0} for judge in study["judges"]]
        make_all(workspace, made)
        made["models"] = models(study, 6, gpus=0)
        measure(workspace, "2,000 cells made, a model of 400 added", made, repeats, ())


def config_with_two_judges(workspace: Workspace) -> dict:
    text = (workspace.folder / "config/config.yaml").read_text(encoding="utf-8")
    study = yaml.safe_load(text)
    judge = study["judges"][0]
    return study | {"run": "planning", "judges": [judge, judge | {"name": "second"}]}


def models(study: dict, count: int, **keys: int) -> list[dict]:
    first = study["models"][0] | keys
    return [first | {"name": f"model-{number}"} for number in range(count)]


def make_all(workspace: Workspace, config: dict) -> None:
    """Let both Snakefiles find their files made, and remembered as Snakemake remembers them."""
    workspace.write_config(config)
    write_bare(workspace, config)
    for arguments in (OURS, BARES):
        _, summary = snakemake(workspace, "--summary", *arguments)
        for file in re.findall(r"^((?:results|bare)/\S+)\t", summary, flags=re.MULTILINE):
            path = workspace.folder / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        snakemake(workspace, "--touch", "--cores", "1", *arguments)
        _, planned = snakemake(workspace, "--dry-run", *arguments)
        assert "Nothing to be done" in planned, planned[-3000:]


def measure(
    workspace: Workspace, name: str, config: dict, repeats: int, arguments: tuple[str, ...]
) -> None:
    """Print the medians of ``repeats`` dry runs of the workflow and of its bare counterpart."""
    workspace.write_config(config)
    write_bare(workspace, config)
    ours: list[Cost] = []
    bare: list[Cost] = []
    for _ in range(repeats):
        ours.append(dry_run(workspace, *OURS, *arguments))
        bare.append(dry_run(workspace, *BARES, *arguments))
    print_costs(name, ours)
    print_costs("  the bare Snakefile", bare)
    ratios = [median(ours, kind) / median(bare, kind) for kind in ("wall", "cpu", "memory")]
    print(f"{'  ratio':47} {ratios[0]:7.2f} {ratios[1]:7.2f} {ratios[2]:6.2f}", flush=True)


def write_bare(workspace: Workspace, config: dict) -> None:
    text = BARE.format(
        models=[model["name"] for model in config["models"]],
        judges=[judge["name"] for judge in config["judges"]],
        temperatures=config["temperatures"],
        seeds=config["seeds"],
        tables=N_TABLES,
        figures=N_FIGURES,
    )
    (workspace.folder / "bare.smk").write_text(text, encoding="utf-8")


def dry_run(workspace: Workspace, *arguments: str) -> Cost:
    return snakemake(workspace, "--dry-run", *arguments)[0]


def snakemake(workspace: Workspace, *arguments: str) -> tuple[Cost, str]:
    """Run Snakemake; its cost and what it printed."""
    with tempfile.TemporaryFile("w+") as output:
        start = time.perf_counter()
        process = subprocess.Popen(
            [str(Path(sys.executable).parent / "snakemake"), *arguments],
            cwd=workspace.folder,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        # Unlike `wait`, it tells what this one process took.
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        output.seek(0)
        printed = output.read()
    if status != 0:
        sys.exit(printed[-3000:])
    total = re.search(r"^total +(\d+)$", printed, flags=re.MULTILINE)
    jobs = int(total[1]) if total else 0
    return Cost(jobs, wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024), printed


def print_costs(name: str, costs: list[Cost]) -> None:
    wall, cpu, memory = (median(costs, kind) for kind in ("wall", "cpu", "memory"))
    print(f"{name:40} {costs[0].jobs:6} {wall:7.2f} {cpu:7.2f} {memory:6.0f}")


def median(costs: list[Cost], kind: str) -> float:
    return statistics.median(getattr(cost, kind) for cost in costs)


if __name__ == "__main__":
    main()
