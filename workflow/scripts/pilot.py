"""Say whether SSI falls with temperature on a few prompts, and what the full study would cost."""

import json

from refusal_stability import (
    command,
    experiment_inputs,
    experiments,
    pilot,
    pilot_figure,
    study_cost,
)


def main() -> None:
    parser = experiment_inputs.parser(__doc__)
    parser.add_argument("--temperatures", type=float, nargs="+", required=True)
    parser.add_argument("--seeds", type=int, nargs="*", default=[], help="without any, 5 that are")
    parser.add_argument("--study", type=json.loads, required=True, help="the run to plan, as JSON")
    args = parser.parse_args()
    judged = pilot.of_pilot(
        experiments.read_verdicts(args.verdicts),
        experiment_inputs.prompts_of(args),
        args.temperatures,
        args.seeds,
    )
    grid = experiment_inputs.grid_of(args, judged)
    resamples = experiment_inputs.resamples_of(args, grid)
    table, cost = pilot.pilot(grid, resamples), study_cost.study_cost(args.study)
    temperatures = pilot.by_temperature(grid, resamples)
    experiments.write(
        args.output,
        "pilot",
        {"pilot": table, "pilot_temperatures": temperatures, "pilot_cost": cost},
        f"{pilot.caption(table)} {study_cost.caption(cost)}",
        lambda: pilot_figure.pilot(temperatures, table),
    )


if __name__ == "__main__":
    command.run(main)
