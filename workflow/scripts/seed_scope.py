"""Compare one sampling seed for all prompts of a cell with a seed for each prompt."""

import json

from refusal_stability import command, experiment_inputs, experiments, seed_scope_figure
from refusal_stability.seed_scope import caption, seed_scope


def main() -> None:
    parser = experiment_inputs.parser(__doc__)
    parser.add_argument(
        "--arms", type=json.loads, required=True, help="{model: cell, prompt or unknown}, as JSON"
    )
    args = parser.parse_args()
    grid = experiment_inputs.grid_of(args)
    table, ratios = seed_scope(grid, args.arms, args.statistics["bootstrap_seed"])
    experiments.write(
        args.output,
        "seed_scope",
        {"seed_scope": table, "seed_scope_ratio": ratios},
        caption(table, ratios, grid.seeds),
        lambda: seed_scope_figure.seed_scope(table),
    )


if __name__ == "__main__":
    command.run(main)
