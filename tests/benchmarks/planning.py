"""What planning costs: dry runs of the study and of 40,000 cells, beside a bare Snakefile.

    .venv/bin/python tests/benchmarks/planning.py [--repeats 3] [study 8000 40000 added ...]

Runs `snakemake -n` in a copy of the repository. The bare Snakefile has the same jobs and the same
files of each job (inputs, outputs, log, benchmark), written out as plainly as Snakemake allows; it
is planned with the same profile, by turns with the real one. Machines are noisy: compare the
ratios, which are of medians, and the CPU times, which other programs disturb less.
"""

import argparse
import base64
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).parents[1]))

from helpers.workspace import Workspace, copy_repository

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
    parser.add_argument("rows", nargs="*", choices=[[], *ROWS], metavar="ROW")
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        workspace = copy_repository(Path(folder))
        study = config_with_two_judges(workspace)
        print(f"{'':40} {'jobs':>6} {'wall s':>7} {'CPU s':>7} {'MiB':>6}")
        for row in args.rows or ROWS:
            ROWS[row](workspace, study, args.repeats)


def of_the_study(workspace: Workspace, study: dict, repeats: int) -> None:
    measure(workspace, "80 cells", study, repeats, ())
    measure(workspace, "80 cells, --profile slurm", study, repeats, ("--profile", "slurm"))


def of_8000_cells(workspace: Workspace, study: dict, repeats: int) -> None:
    large = study | {"models": models(study, 20), "seeds": list(range(100))}
    measure(workspace, "8,000 cells", large, repeats, ())
    measure(workspace, "8,000 cells, --profile slurm", large, repeats, ("--profile", "slurm"))


def of_40000_cells(workspace: Workspace, study: dict, repeats: int) -> None:
    measure(workspace, "40,000 cells", huge(study, 20), repeats, ())


def of_an_addition(workspace: Workspace, study: dict, repeats: int) -> None:
    """38,000 cells and their verdicts are made, and a model of 2,000 cells is added."""
    make_all(workspace, huge(study, 1), copies=18)
    measure(workspace, "38,000 cells made, 2,000 added", huge(study, 20), repeats, ())


ROWS = {
    "study": of_the_study,
    "8000": of_8000_cells,
    "40000": of_40000_cells,
    "added": of_an_addition,
}


def huge(study: dict, count: int) -> dict:
    """Models of 2,000 cells each, which need no GPU: all of a plan is the same without one."""
    return study | {
        "run": "huge",
        "models": models(study, count, gpus=0),
        "judges": [judge | {"gpus": 0} for judge in study["judges"]],
        "temperatures": [number / 10 for number in range(20)],
        "seeds": list(range(100)),
    }


def config_with_two_judges(workspace: Workspace) -> dict:
    text = (workspace.folder / "config/config.yaml").read_text(encoding="utf-8")
    study = yaml.safe_load(text)
    judge = study["judges"][0]
    return study | {"run": "planning", "judges": [judge, judge | {"name": "second"}]}


def models(study: dict, count: int, **keys: int) -> list[dict]:
    first = study["models"][0] | keys
    return [first | {"name": f"model-{number:02}"} for number in range(count)]


def make_all(workspace: Workspace, config: dict, copies: int) -> None:
    """Let both Snakefiles find the files of one model made, and of so many like it.

    Made are empty files and what Snakemake remembers of each. To let it make 38,000 would take an
    hour: of the first model's cells and verdicts, files and memory are copied under other names.
    """
    workspace.write_config(config)
    write_bare(workspace, config)
    first = config["models"][0]["name"]
    for arguments in (OURS, BARES):
        _, summary = snakemake(workspace, "--summary", *arguments)
        files = re.findall(r"^((?:results|bare)/\S+)\t", summary, flags=re.MULTILINE)
        for file in files:
            path = workspace.folder / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        # One job after the other would take a tenth of a second each.
        snakemake(workspace, "--touch", "--forceall", "--cores", "5000", *arguments)
        _, planned = snakemake(workspace, "--dry-run", *arguments)
        assert "Nothing to be done" in planned, planned[-3000:]
        assert "missing provenance" not in planned, planned[-3000:]
        for file in files:
            for copy in range(1, copies + 1) if first in file else ():
                copy_made(workspace.folder, file, first, f"model-{copy:02}")


def copy_made(folder: Path, file: str, model: str, other: str) -> None:
    """Copy a model's file, and Snakemake's memory of it, for another model."""
    copied = folder / file.replace(model, other)
    copied.parent.mkdir(parents=True, exist_ok=True)
    # With its time.
    shutil.copy2(folder / file, copied)
    memory = record(folder, file).read_text(encoding="utf-8")
    record(folder, file.replace(model, other)).write_text(
        memory.replace(model, other), encoding="utf-8"
    )


def record(folder: Path, file: str) -> Path:
    name = base64.urlsafe_b64encode(file.encode()).decode()
    return folder / ".snakemake/metadata" / name


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
