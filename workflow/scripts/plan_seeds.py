"""Say how many prompts and seeds a wanted precision takes, learning from a run."""

import json
from pathlib import Path

from refusal_stability.core import cli
from refusal_stability.core.cells import cell_name
from refusal_stability.costs.design_hours import DesignHours
from refusal_stability.experiments import common
from refusal_stability.experiments.plan_seeds import figure
from refusal_stability.experiments.plan_seeds.analysis import caption, plan_seeds


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument(
        "--wanted", type=json.loads, required=True, help="width, difference and power, as JSON"
    )
    parser.add_argument("--pair", nargs="*", default=[], help="two models to tell apart")
    parser.add_argument("--run", type=Path, required=True, help="folder of the run")
    args = parser.parse_args()
    grid = common.grid_of(args)
    cells = [cell_name(temperature, seed) for temperature in grid.scopes[1:] for seed in grid.seeds]
    table = plan_seeds(
        grid,
        args.pair,
        args.wanted,
        DesignHours(args.run, cells, len(grid.temperatures)),
        args.statistics["bootstrap_seed"],
    )
    common.write(
        args.output,
        "plan_seeds",
        {"plan_seeds": table},
        caption(table, args.wanted, len(grid.seeds)),
        lambda: figure.plan_seeds(table, args.wanted),
    )


if __name__ == "__main__":
    cli.run(main)
