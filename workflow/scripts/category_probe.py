"""Compare the stability of prompts of several categories."""

import json

from refusal_stability import command, experiment_figures, experiment_inputs, experiments
from refusal_stability.category_probe import caption, category_probe, chosen_prompts


def main() -> None:
    parser = experiment_inputs.parser(__doc__)
    parser.add_argument(
        "--settings", type=json.loads, required=True, help="`experiments.category_probe`, as JSON"
    )
    args = parser.parse_args()
    grid = experiment_inputs.grid_of(args)
    prompts = experiment_inputs.prompts_of(args)
    bootstrap = experiment_inputs.bootstrap_of(args)
    chosen = chosen_prompts(
        experiments.categories_of(grid, prompts, args.settings["grouping"]),
        args.settings.get("categories"),
        args.settings.get("prompts"),
        bootstrap[1],
    )
    table = category_probe(grid, chosen, bootstrap)
    experiments.write(
        args.output,
        "category_probe",
        {"category_probe": table},
        caption(table, chosen),
        lambda: experiment_figures.category_probe(table),
    )


if __name__ == "__main__":
    command.run(main)
