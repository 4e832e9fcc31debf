"""Say how many prompts and seeds a wanted precision takes, learning from a run."""

import argparse
import json
from pathlib import Path

from refusal_stability import command, experiment_figures, experiments, files
from refusal_stability.contracts import PromptInfo
from refusal_stability.design_hours import DesignHours
from refusal_stability.plan_seeds import caption, plan_seeds
from refusal_stability.tables import check_invalid_share


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--statistics", type=json.loads, required=True, help="`statistics` of the config, as JSON"
    )
    parser.add_argument(
        "--wanted", type=json.loads, required=True, help="width, difference and power, as JSON"
    )
    parser.add_argument("--prompts", type=Path, required=True, help="prompts, Parquet")
    parser.add_argument(
        "--verdicts", type=Path, nargs="+", required=True, help="files <judge>/<model>.parquet"
    )
    parser.add_argument("--pair", nargs="*", default=[], help="two models to tell apart")
    parser.add_argument("--run", type=Path, required=True, help="folder of the run")
    parser.add_argument("--output", type=Path, required=True, help="folder of the experiments")
    args = parser.parse_args()
    prompts = files.read_parquet(args.prompts, PromptInfo)
    grid = experiments.grid_of(
        experiments.read_verdicts(args.verdicts), prompts["prompt_id"].to_list()
    )
    check_invalid_share(grid, args.statistics["max_invalid_share"])
    cells = [f"T{temperature}_seed{seed}" for temperature in grid.scopes[1:] for seed in grid.seeds]
    table = plan_seeds(
        grid,
        args.pair,
        args.wanted,
        DesignHours(args.run, cells, len(grid.temperatures)),
        args.statistics["bootstrap_seed"],
    )
    experiments.write(
        args.output,
        "plan_seeds",
        {"plan_seeds": table},
        caption(table, args.wanted, len(grid.seeds)),
        lambda: experiment_figures.plan_seeds(table),
    )


if __name__ == "__main__":
    command.run(main)
