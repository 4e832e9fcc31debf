"""Compare three-way with binary scoring."""

from refusal_stability import command, experiment_figures, experiment_inputs, experiments
from refusal_stability.scoring import caption, compare_scorings


def main() -> None:
    args = experiment_inputs.parser(__doc__).parse_args()
    grid = experiment_inputs.grid_of(args)
    resamples = experiment_inputs.resamples_of(args, grid)
    limits = [*args.statistics["thresholds"], args.statistics["unstable_below"]]
    table = compare_scorings(grid, resamples, limits)
    experiments.write(
        args.output,
        "scoring",
        {"scoring": table},
        caption(table, limits),
        lambda: experiment_figures.scoring(table),
    )


if __name__ == "__main__":
    command.run(main)
