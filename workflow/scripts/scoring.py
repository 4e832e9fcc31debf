"""Compare three-way with binary scoring."""

from refusal_stability.core import cli
from refusal_stability.experiments import common
from refusal_stability.experiments.scoring import figure
from refusal_stability.experiments.scoring.analysis import caption, compare_scorings


def main() -> None:
    args = common.parser(__doc__).parse_args()
    grid = common.grid_of(args)
    resamples = common.resamples_of(args, grid)
    limits = [*args.statistics["thresholds"], args.statistics["unstable_below"]]
    table = compare_scorings(grid, resamples, limits)
    common.write(
        args.output,
        "scoring",
        {"scoring": table},
        caption(table, limits),
        lambda: figure.scoring(table),
    )


if __name__ == "__main__":
    cli.run(main)
