"""The core tables by the workflow and by plain pandas: the same numbers, and how long each takes.

    .venv/bin/python tests/benchmarks/statistics_ratio.py [--prompts 876] [--repeats 3]

Draws the verdicts of 2 judges on 4 models x 20 samples, makes six tables of them by turns with
core_tables.py and pandas_tables.py, and fails if a number differs, ends of intervals included.
"""

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from processes import Cost, run

import tables

HERE = Path(__file__).parent
KEYS = ["judge", "judge_a", "judge_b", "model", "scoring", "threshold"]
KEYS += ["temperature", "temperature_a", "temperature_b"]
DIFFERENCE = 1e-6


@dataclass(frozen=True)
class Result:
    """Costs of both ways, and how many numbers are the same in both."""

    ours: Cost
    pandas: Cost
    numbers: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=876)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    result = compare(args.prompts, args.repeats)
    for name, cost in (("workflow", result.ours), ("pandas", result.pandas)):
        print(f"{name:10} {cost.wall:7.2f} s {cost.cpu:7.2f} CPU s {cost.memory:6.0f} MiB")
    print(f"{result.numbers} numbers are the same in both, within {DIFFERENCE}")


def compare(prompts: int, repeats: int) -> Result:
    """Return the quickest of ``repeats`` runs of each, by CPU seconds."""
    with tempfile.TemporaryDirectory() as folder:
        study = Path(folder)
        tables.draw(study, 4, prompts, 20)
        costs: dict[str, list[Cost]] = {"core": [], "pandas": []}
        for _ in range(repeats):
            for name, measured in costs.items():
                script = HERE / f"{name}_tables.py"
                measured.append(run(sys.executable, script, study, study / name))
        numbers = sum(
            same_numbers(path, study / "core" / path.name)
            for path in sorted((study / "pandas").glob("*.csv"))
        )
    ours, pandas = (min(measured, key=lambda cost: cost.cpu) for measured in costs.values())
    return Result(ours, pandas, numbers)


def same_numbers(path: Path, other: Path) -> int:
    """Return how many numbers of a table are the same in both files; end with one that is not."""
    table, ours = pd.read_csv(path), pd.read_csv(other)
    keys = [name for name in KEYS if name in table.columns]
    table, ours = (one.set_index(keys).sort_index() for one in (table, ours))
    if not table.index.equals(ours.index):
        sys.exit(f"{path.name}: other rows")
    difference = (table - ours[table.columns]).abs()
    if difference.isna().any(axis=None) or difference.max(axis=None) > DIFFERENCE:
        sys.exit(f"{path.name}: numbers differ\n{difference.max()}")
    return difference.size


if __name__ == "__main__":
    main()
