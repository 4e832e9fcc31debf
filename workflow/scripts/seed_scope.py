"""Compare one sampling seed for all prompts of a cell with a seed for each prompt."""

import json

from refusal_stability.core import cli
from refusal_stability.experiments import common
from refusal_stability.experiments.seed_scope import figure
from refusal_stability.experiments.seed_scope.analysis import caption, seed_scope


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument(
        "--arms", type=json.loads, required=True, help="{model: cell, prompt or unknown}, as JSON"
    )
    args = parser.parse_args()
    grid = common.grid_of(args)
    table, ratios = seed_scope(grid, args.arms, args.statistics["bootstrap_seed"])
    common.write(
        args.output,
        "seed_scope",
        {"seed_scope": table, "seed_scope_ratio": ratios},
        caption(table, ratios, grid.seeds),
        lambda: figure.seed_scope(table),
    )


if __name__ == "__main__":
    cli.run(main)
