"""Say whether SSI falls with temperature on a few prompts, and what the full study would cost."""

import json

from refusal_stability.core import cli
from refusal_stability.experiments import common
from refusal_stability.experiments.pilot import analysis, figure, study_cost


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--temperatures", type=float, nargs="+", required=True)
    parser.add_argument("--seeds", type=int, nargs="*", default=[], help="without any, 5 that are")
    parser.add_argument("--study", type=json.loads, required=True, help="the run to plan, as JSON")
    args = parser.parse_args()
    judged = analysis.of_pilot(
        common.read_verdicts(args.verdicts),
        common.prompts_of(args),
        args.temperatures,
        args.seeds,
    )
    grid = common.grid_of(args, judged)
    resamples = common.resamples_of(args, grid)
    table, cost = analysis.pilot(grid, resamples), study_cost.study_cost(args.study)
    temperatures = analysis.by_temperature(grid, resamples)
    common.write(
        args.output,
        "pilot",
        {"pilot": table, "pilot_temperatures": temperatures, "pilot_cost": cost},
        f"{analysis.caption(table)} {study_cost.caption(cost)}",
        lambda: figure.pilot(temperatures, table),
    )


if __name__ == "__main__":
    cli.run(main)
