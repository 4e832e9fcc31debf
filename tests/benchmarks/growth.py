"""How the cost of each stage grows with its work, in steps of ten; draws the figure of it.

    .venv/bin/python tests/benchmarks/growth.py [--stages prompts judge ...] [--steps 3]

Runs each stage's script as its rule does, on one core for engines, and `snakemake -n` for the
plan. It measures CPU seconds, which other programs on the machine disturb less than the clock,
and peak memory, and writes docs/growth.csv and docs/growth.svg; with --stages it replaces those
stages only. With fewer steps it is quick and writes nothing.

The exponent of a stage is the base-10 logarithm of its last size's cost over that of the one
before; beyond the start, of what the last step adds over what the step before added. 1 is linear.
"""

import argparse
import csv
import json
import math
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import astuple
from pathlib import Path

import growth_figure
import growth_inputs
import planning
from processes import Cost, run, run_script

sys.path.insert(0, str(Path(__file__).parents[1]))

from helpers.workspace import Workspace, copy_repository

DOCS = Path(__file__).parents[2] / "docs"
# Short runs are repeated, and the quickest counts.
ENOUGH_SECONDS, MOST_REPEATS = 6.0, 3
STATISTICS = {
    "unstable_below": 0.8,
    "max_invalid_share": 0.01,
    "bootstrap_resamples": 2000,
    "bootstrap_seed": 1,
}
LABELS_A_PROMPT = 160

Measured = Iterator[tuple[int, Cost]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=list(STAGES))
    parser.add_argument("--steps", type=int, help="sizes a stage, the smallest ones")
    args = parser.parse_args()
    rows = []
    print(f"{'stage':12} {'work':>10} {'':18} {'wall s':>8} {'CPU s':>8} {'MiB':>7}")
    for stage in args.stages:
        with tempfile.TemporaryDirectory() as folder:
            unit, sizes, measure = STAGES[stage]
            measured = list(measure(Path(folder), sizes[: args.steps]))
        for size, cost in measured:
            values = [round(value, 3) for value in astuple(cost)]
            rows.append([stage, unit, size, *values])
            numbers = f"{cost.wall:8.2f} {cost.cpu:8.2f} {cost.memory:7.0f}"
            print(f"{stage:12} {size:10,} {unit:18} {numbers}", flush=True)
        costs = [cost.cpu for _, cost in measured]
        plain, beyond = exponents(costs)
        print(f"{stage:12} {'exponent':>10} {plain:.2f}, beyond the start {beyond:.2f}", flush=True)
    if args.steps is None:
        write(rows, DOCS / "growth.csv")
        growth_figure.draw(DOCS / "growth.csv", DOCS / "growth.svg")


def exponents(costs: list[float]) -> tuple[float, float]:
    """Return the exponent of the last of steps of ten, and that of its cost beyond the start.

    nan for what is not known of so few steps, or where a step adds less than the noise.
    """
    first, second, third = ([float("nan")] * 3 + costs)[-3:]
    added, before = third - second, second - first
    beyond = math.log10(added / before) if added > 0 and before > 0 else float("nan")
    return math.log10(third / second), beyond


def write(rows: list[list], path: Path) -> None:
    """Replace the rows of the stages that were measured, in the order of the stages."""
    kept = []
    if path.exists():
        with path.open(encoding="utf-8", newline="") as file:
            measured = {row[0] for row in rows}
            kept = [row for row in list(csv.reader(file))[1:] if row[0] not in measured]
    order = list(STAGES)
    every = sorted(kept + rows, key=lambda row: (order.index(row[0]), int(row[2])))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([growth_figure.COLUMNS, *every])


def best(measure: Callable[[], Cost]) -> Cost:
    costs = [measure()]
    while len(costs) < MOST_REPEATS and sum(cost.wall for cost in costs) < ENOUGH_SECONDS:
        costs.append(measure())
    return min(costs, key=lambda cost: cost.cpu)


def prompts(folder: Path, sizes: list[int]) -> Measured:
    for size in sizes:
        settings = {"source": "file", "path": str(growth_inputs.prompt_file(folder, size))}
        yield (
            size,
            best(
                lambda settings=settings: run_script(
                    "prompts",
                    *("--settings", json.dumps(settings)),
                    *("--output", folder / "prompts.parquet"),
                )
            ),
        )


def generate(folder: Path, sizes: list[int]) -> Measured:
    model = growth_inputs.trained("tiny-llama", folder)
    for size in sizes:
        prompts = growth_inputs.prompts(folder, size)
        yield (
            size,
            best(
                lambda prompts=prompts: run_script(
                    "generate",
                    *("--model", json.dumps(model), "--temperature", "0.7", "--seed", "1"),
                    *("--prompts", prompts, "--cache", folder / "cache"),
                    *("--output", folder / "cell.parquet"),
                )
            ),
        )


def judge(folder: Path, sizes: list[int]) -> Measured:
    settings = growth_inputs.trained("judge-good", folder)
    for size in sizes:
        responses = growth_inputs.responses(folder, size)
        yield (
            size,
            best(
                lambda responses=responses: run_script(
                    "judge",
                    *("--judge", json.dumps(settings), "--responses", responses),
                    *("--temperatures", "0.7", "--seeds", "1"),
                    *("--prompts", folder / "prompts.parquet", "--cache", folder / "cache"),
                    *("--output", folder / "v.parquet"),
                )
            ),
        )


def import_labels(folder: Path, sizes: list[int]) -> Measured:
    for size in sizes:
        labels = growth_inputs.label_file(folder, size // LABELS_A_PROMPT)
        yield (
            size,
            best(
                lambda labels=labels: run_script(
                    "import_labels",
                    *("--labels", labels, "--model-aliases", "{}", "--judge-aliases", "{}"),
                    *("--verdicts", folder / "imported", "--prompts", folder / "p.parquet"),
                    *("--manifest", folder / "labels.json"),
                )
            ),
        )


def stability(folder: Path, sizes: list[int]) -> Measured:
    for size in sizes:
        # A job has the labels of one judge of two.
        run = growth_inputs.verdicts(folder, 2 * size // LABELS_A_PROMPT)
        yield size, best(lambda run=run: _stability(run, "a"))


def statistics(folder: Path, sizes: list[int]) -> Measured:
    for size in sizes:
        run = growth_inputs.verdicts(folder, size // LABELS_A_PROMPT)
        for name in "ab":
            _stability(run, name)
        yield size, best(lambda run=run: _statistics(run))


def figures(folder: Path, sizes: list[int]) -> Measured:
    for size in sizes:
        run = growth_inputs.verdicts(folder, size // LABELS_A_PROMPT)
        for name in "ab":
            _stability(run, name)
        _statistics(run)
        yield (
            size,
            best(
                lambda run=run: run_script(
                    "figures",
                    *("--judge", "a", "--stability", run / "stability/a.parquet"),
                    *("--tables", run / "tables", "--unstable-below", "0.8"),
                    *("--output", run / "figures"),
                )
            ),
        )


def cost(folder: Path, sizes: list[int]) -> Measured:
    for size in sizes:
        run, grid = growth_inputs.manifests(folder, size)
        yield (
            size,
            best(
                lambda run=run, grid=grid: run_script(
                    "cost",
                    *("--run", run, "--grid", json.dumps(grid), "--prices", "{}"),
                    *("--output", run / "cost.csv"),
                )
            ),
        )


def plan(folder: Path, sizes: list[int]) -> Measured:
    workspace = copy_repository(folder)
    study = planning.config_with_two_judges(workspace)
    for size in sizes:
        # With 4 temperatures.
        models, seeds = {80: (4, 5), 800: (20, 10), 8000: (20, 100)}[size]
        config = study | {"models": planning.models(study, models), "seeds": list(range(seeds))}
        workspace.write_config(config)
        yield size, best(lambda: _planned(workspace))


def _planned(workspace: Workspace) -> Cost:
    snakemake = Path(sys.executable).parent / "snakemake"
    return run(snakemake, "--dry-run", *planning.OURS, folder=workspace.folder)


def _stability(run: Path, judge: str) -> Cost:
    files = sorted(run.glob(f"verdicts/{judge}/*.parquet"))
    return run_script(
        "stability", "--verdicts", *files, "--output", run / f"stability/{judge}.parquet"
    )


def _statistics(run: Path) -> Cost:
    return run_script(
        "tables",
        *("--settings", json.dumps(STATISTICS), "--prompts", run / "prompts.parquet"),
        *("--stability", *sorted(run.glob("stability/*.parquet"))),
        *("--verdicts", *sorted(run.glob("verdicts/*/*.parquet")), "--output", run / "tables"),
    )


LABELS = ("labels", [7_040, 70_400, 704_000, 7_040_000])
STAGES = {
    "prompts": ("prompts", [1_000, 10_000, 100_000, 1_000_000], prompts),
    "generate": ("prompts of a cell", [60, 600, 6_000], generate),
    "judge": ("distinct pairs", [100, 1_000, 10_000], judge),
    "import_labels": (*LABELS, import_labels),
    "stability": (*LABELS, stability),
    "statistics": (*LABELS, statistics),
    "figures": (*LABELS, figures),
    "cost": ("cells", [80, 800, 8_000], cost),
    "plan": ("cells", [80, 800, 8_000], plan),
}

if __name__ == "__main__":
    main()
