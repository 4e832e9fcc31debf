"""The benchmark suite, `make bench`: one table of ratios, all of one run on this machine.

    .venv/bin/python tests/benchmarks/suite.py [--cores 2]

Runs the demo with an engine a cell and again with an engine a model, in a copy of the repository,
and what each is compared with: one engine that is told all requests at once, a judge that is asked
about every response in free text, the tables in plain pandas, a bare Snakefile. A ratio is ours
over theirs: less than 1 is cheaper. Then the same of a model of 8 billion weights, on a GPU.
"""

import argparse
import csv
import json
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import growth
import growth_inputs
import large_model
import planning
import polars as pl
import statistics_ratio
import yaml
from processes import Cost, run, run_script

sys.path.insert(0, str(Path(__file__).parents[1]))

from helpers.workspace import Workspace, copy_repository

HERE = Path(__file__).parent
REPEATS = 2
NAME, NUMBER = "{:34}", "{:>10}"
FREE_TEXT_TOKENS = 64


@dataclass(frozen=True)
class Row:
    """What we take, what the other way takes, in what, and the most that the ratio may be."""

    name: str
    ours: float
    theirs: float
    unit: str
    goal: float | None = None

    def print(self) -> None:
        ratio = self.ours / self.theirs
        goal, met = "", ""
        if self.goal is not None:
            goal, met = f"{self.goal:.2f}", "met" if ratio <= self.goal else "MISSED"
        numbers = [f"{self.ours:,.2f}", f"{self.theirs:,.2f}", f"{ratio:.2f}", goal, met]
        columns = " ".join(NUMBER.format(number) for number in numbers)
        print(f"{NAME.format(self.name)} {columns}  {self.unit}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cores", type=int, default=2)
    cores = parser.parse_args().cores
    heads = " ".join(NUMBER.format(head) for head in ("ours", "theirs", "ratio", "goal", ""))
    print(f"{NAME.format('')} {heads}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        workspace = copy_repository(Path(folder))
        for part in (engines, judging, statistics, plans):
            print(f"... {part.__doc__.partition('.')[0]}", file=sys.stderr, flush=True)
            for row in part(workspace, cores):
                row.print()
    print("\nPeak memory of a job:")
    other_stages()
    print()
    if large_model.has_gpu():
        large_model.measure(tiny=False, cells=4, prompts=876, tokens=256)


def engines(workspace: Workspace, cores: int) -> Iterator[Row]:
    """Seconds of the jobs that hold an engine for generation, against ideal engines."""
    cells = demo_settings(workspace)
    finish(workspace, cells, "--cores", str(cores))
    made = workspace.folder / "results/demo"
    shared: list[float] = []
    ideal: list[list[Cost]] = []
    for number in range(REPEATS):
        ideal.append(ideal_engines(workspace, cells, cores))
        config = with_trained_weights(cells) | {"run": f"shared-{number}"}
        # Else the second time all replies would be there.
        config |= {"engine": {"sharing": "model"}, "cache": False}
        finish(workspace, config, "--cores", str(cores), "all_responses")
        folder = workspace.folder / f"results/shared-{number}"
        shared.append(job_seconds(folder, "generate_model"))
        same_replies(folder, made, "shared engine")
    best = min(ideal, key=lambda costs: sum(cost.wall for cost in costs))
    seconds = sum(cost.wall for cost in best)
    # At least 0.9 of the ideal.
    yield Row("generate, an engine a model", min(shared), seconds, "job seconds", 1 / 0.9)
    yield Row("generate, an engine a cell", job_seconds(made, "generate"), seconds, "job seconds")
    # Snakemake looks at a job's memory now and then, and misses much of a short one.
    memory = max(cost.memory for cost in best)
    yield Row("  peak memory, an engine a cell", one_cell(made).memory, memory, "MiB")


def one_cell(made: Path) -> Cost:
    """Generate one cell of the demo again, as its job does."""
    model = growth_inputs.demo_config()["models"][0]
    weights = str(made / "demo_models" / model["name"])
    return run_script(
        "generate",
        *(
            "--model",
            json.dumps(model | {"weights": weights}),
            "--temperature",
            "1",
            "--seed",
            "42",
        ),
        *("--prompts", made / "prompts.parquet", "--cache", made / "cache"),
        *("--output", made / "again.parquet"),
    )


def demo_settings(workspace: Workspace) -> dict:
    return yaml.safe_load((workspace.folder / "config/demo.yaml").read_text(encoding="utf-8"))


def ideal_engines(workspace: Workspace, config: dict, cores: int) -> list[Cost]:
    """Run one engine a model, as many at once as the workflow would run."""
    results = workspace.folder / "results"

    def generate(model: dict) -> Cost:
        name, output = model["name"], results / f"ideal_{model['name']}.parquet"
        weights = results / "demo/demo_models" / name
        cost = run(
            *(sys.executable, HERE / "ideal_engine.py"),
            *("--model", json.dumps(model | {"weights": str(weights)})),
            *("--prompts", results / "demo/prompts.parquet", "--output", output),
            *("--temperatures", *config["temperatures"], "--seeds", *config["seeds"]),
        )
        ideal = pl.read_parquet(output)
        replies = pl.read_parquet(results / f"demo/responses/{name}/*.parquet")
        both = replies.join(ideal, on=["temperature", "seed", "prompt_id"], suffix="_ideal")
        same = (both["response"] == both["response_ideal"]).sum()
        if not same == replies.height == ideal.height:
            sys.exit(f"{name}: the ideal engine generated something else")
        return cost

    with ThreadPoolExecutor(cores) as pool:
        return list(pool.map(generate, growth_inputs.demo_config()["models"]))


def with_trained_weights(config: dict) -> dict:
    """Let a run take the weights that the demo trained."""
    return config | {
        kind: [
            entry | {"weights": f"./results/demo/demo_models/{entry['name']}"}
            for entry in config[kind]
        ]
        for kind in ("models", "judges")
    }


def same_replies(folder: Path, other: Path, name: str) -> None:
    """End if a run has other replies than another; on a CPU, nothing depends on the batch."""
    columns = ["prompt_id", "temperature", "seed", "response"]
    for file in sorted(folder.glob("responses/*/*.parquet")):
        same = other / file.relative_to(folder)
        replies, others = (pl.read_parquet(path, columns=columns) for path in (file, same))
        if not replies.equals(others):
            sys.exit(f"{file.stem}: the {name} generated something else")


def judging(workspace: Workspace, cores: int) -> Iterator[Row]:
    """Distinct pairs and a constrained answer, against every response and free text."""
    made = workspace.folder / "results/demo"
    judges = {judge["name"]: judge for judge in growth_inputs.demo_config()["judges"]}
    pairs = [(path.parent.name, path.stem) for path in sorted(made.glob("verdicts/*/*.json"))]

    def judge_plainly(pair: tuple[str, str]) -> tuple[Cost, dict]:
        judge, model = pair
        settings = judges[judge] | {"weights": str(made / "demo_models" / judge)}
        output = made / f"plain_{judge}_{model}.json"
        cost = run(
            *(sys.executable, HERE / "plain_judge.py", "--output", output),
            *("--judge", json.dumps(settings | {"max_tokens": FREE_TEXT_TOKENS})),
            *("--prompts", made / "prompts.parquet"),
            *("--responses", *sorted(made.glob(f"responses/{model}/*.parquet"))),
        )
        return cost, json.loads(output.read_text(encoding="utf-8"))

    with ThreadPoolExecutor(cores) as pool:
        plain = list(pool.map(judge_plainly, pairs))
    ours = [
        json.loads((made / f"verdicts/{judge}/{model}.json").read_text(encoding="utf-8"))
        for judge, model in pairs
    ]
    theirs = [took for _, took in plain]
    for name, key, unit in (
        ("judge, engine seconds", "engine_seconds", "s a 1,000 responses"),
        ("judge, tokens written", "output_tokens", "a response"),
        ("judge, tokens read", "input_tokens", "a response"),
    ):
        scale = 1000 if key == "engine_seconds" else 1
        values = [
            scale * sum(one[key] for one in took) / sum(one["count"] for one in took)
            for took in (ours, theirs)
        ]
        yield Row(name, *values, unit)
    seconds = sum(cost.wall for cost, _ in plain)
    yield Row("judge, whole jobs", job_seconds(made, "judge"), seconds, "job seconds")
    memory = max(cost.memory for cost, _ in plain)
    yield Row("  peak memory", one_judge(made).memory, memory, "MiB")


def one_judge(made: Path) -> Cost:
    """Judge one cell of the demo again, as its job does."""
    judge = growth_inputs.demo_config()["judges"][0]
    weights = str(made / "demo_models" / judge["name"])
    return run_script(
        "judge",
        *("--judge", json.dumps(judge | {"weights": weights})),
        *("--prompts", made / "prompts.parquet", "--cache", made / "cache"),
        *("--responses", made / "responses/tiny-llama"),
        *("--temperatures", "1", "--seeds", "42"),
        *("--output", made / "again.parquet"),
    )


def statistics(_workspace: Workspace, _cores: int) -> Iterator[Row]:
    """Six tables of the study's size, against plain pandas."""
    result = statistics_ratio.compare(prompts=876, repeats=REPEATS)
    ours, theirs = result.ours, result.pandas
    yield Row("tables of 140,160 labels", ours.cpu, theirs.cpu, "CPU s, 6 tables")
    yield Row("  peak memory", ours.memory, theirs.memory, "MiB")


def plans(workspace: Workspace, _cores: int) -> Iterator[Row]:
    """A dry run of the study with ten times its seeds, against a bare Snakefile."""
    config = planning.config_with_two_judges(workspace)
    config |= {"seeds": list(range(50))}
    workspace.write_config(config)
    planning.write_bare(workspace, config)
    ours, bare = [], []
    snakemake = Path(sys.executable).parent / "snakemake"
    for _ in range(REPEATS):
        for costs, arguments in ((ours, planning.OURS), (bare, planning.BARES)):
            costs.append(run(snakemake, "--dry-run", *arguments, folder=workspace.folder))
    cpu = [min(cost.cpu for cost in costs) for costs in (ours, bare)]
    memory = [max(cost.memory for cost in costs) for costs in (ours, bare)]
    yield Row("plan of 800 cells", *cpu, "CPU s", 1.3)
    yield Row("  peak memory", *memory, "MiB", 1.3)


def other_stages() -> None:
    """Print the peak memory of the stages that are compared with nothing, at the study's size."""
    sizes = {"prompts": 1_000, "import_labels": 70_400, "stability": 70_400}
    sizes |= {"statistics": 140_800, "figures": 140_800, "cost": 80}
    for stage, size in sizes.items():
        with tempfile.TemporaryDirectory() as folder:
            ((_, cost),) = growth.STAGES[stage][2](Path(folder), [size])
        print(f"{stage:16} {cost.memory:6,.0f} MiB, {size:,} {growth.STAGES[stage][0]}", flush=True)


def finish(workspace: Workspace, config: dict, *arguments: str) -> None:
    workspace.write_config(config)
    result = workspace.snakemake(*arguments)
    if result.returncode != 0:
        sys.exit(result.stdout[-3000:] + result.stderr[-3000:])


def job_seconds(folder: Path, rule: str) -> float:
    """Return the seconds of all jobs of a rule, from their benchmark files."""
    total = 0.0
    for path in (folder / "benchmarks" / rule).rglob("*.tsv"):
        with path.open(encoding="utf-8", newline="") as file:
            total += sum(float(row["s"]) for row in csv.DictReader(file, delimiter="\t"))
    return total


if __name__ == "__main__":
    main()
