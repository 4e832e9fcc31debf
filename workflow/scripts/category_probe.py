"""Compare the stability of prompts of several categories."""

import json

from refusal_stability.core import cli
from refusal_stability.experiments import common
from refusal_stability.experiments.category_probe import figure
from refusal_stability.experiments.category_probe.analysis import (
    caption,
    category_probe,
    chosen_prompts,
)
from refusal_stability.statistics import run_arrays


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument(
        "--settings", type=json.loads, required=True, help="`experiments.category_probe`, as JSON"
    )
    args = parser.parse_args()
    grid = common.grid_of(args)
    prompts = common.prompts_of(args)
    bootstrap = common.bootstrap_of(args)
    chosen = chosen_prompts(
        run_arrays.categories_of(grid, prompts, args.settings["grouping"]),
        args.settings.get("categories"),
        args.settings.get("prompts"),
        bootstrap[1],
    )
    table = category_probe(grid, chosen, bootstrap)
    common.write(
        args.output,
        "category_probe",
        {"category_probe": table},
        caption(table, chosen),
        lambda: figure.category_probe(table),
    )


if __name__ == "__main__":
    cli.run(main)
