"""Say how many prompts and seeds a wanted precision takes, learning from a run."""

import json
from pathlib import Path

from refusal_stability import command, experiment_figures, experiment_inputs, experiments
from refusal_stability.design_hours import DesignHours
from refusal_stability.plan_seeds import caption, plan_seeds


def main() -> None:
    parser = experiment_inputs.parser(__doc__)
    parser.add_argument(
        "--wanted", type=json.loads, required=True, help="width, difference and power, as JSON"
    )
    parser.add_argument("--pair", nargs="*", default=[], help="two models to tell apart")
    parser.add_argument("--run", type=Path, required=True, help="folder of the run")
    args = parser.parse_args()
    grid = experiment_inputs.grid_of(args)
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
        lambda: experiment_figures.plan_seeds(table, args.wanted),
    )


if __name__ == "__main__":
    command.run(main)
