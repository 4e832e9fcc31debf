"""Say whether SSI falls with temperature on a few prompts, and what the full study would cost."""

import argparse
import json
from pathlib import Path

from refusal_stability import command, experiments, files, pilot, pilot_figure, study_cost
from refusal_stability.contracts import PromptInfo
from refusal_stability.resampling import Resamples
from refusal_stability.tables import check_invalid_share


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--statistics", type=json.loads, required=True, help="`statistics` of the config, as JSON"
    )
    parser.add_argument("--prompts", type=Path, required=True, help="the sample, Parquet")
    parser.add_argument(
        "--verdicts", type=Path, nargs="+", required=True, help="files <judge>/<model>.parquet"
    )
    parser.add_argument("--temperatures", type=float, nargs="+", required=True)
    parser.add_argument("--seeds", type=int, nargs="*", default=[], help="without any, 5 that are")
    parser.add_argument("--study", type=json.loads, required=True, help="the run to plan, as JSON")
    parser.add_argument("--output", type=Path, required=True, help="folder of the experiments")
    args = parser.parse_args()
    prompts = files.read_parquet(args.prompts, PromptInfo)
    judged = pilot.of_pilot(
        experiments.read_verdicts(args.verdicts), prompts, args.temperatures, args.seeds
    )
    settings = args.statistics
    grid = experiments.grid_of(judged, prompts["prompt_id"].to_list())
    check_invalid_share(grid, settings["max_invalid_share"])
    resamples = Resamples(
        len(grid.prompt_ids), settings["bootstrap_resamples"], settings["bootstrap_seed"]
    )
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
