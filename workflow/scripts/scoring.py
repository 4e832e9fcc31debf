"""Compare three-way with binary scoring."""

import argparse
import json
from pathlib import Path

from refusal_stability import command, experiment_figures, experiments, files
from refusal_stability.contracts import PromptInfo
from refusal_stability.resampling import Resamples
from refusal_stability.scoring import caption, compare_scorings
from refusal_stability.tables import check_invalid_share


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--statistics", type=json.loads, required=True, help="`statistics` of the config, as JSON"
    )
    parser.add_argument("--prompts", type=Path, required=True, help="prompts, Parquet")
    parser.add_argument(
        "--verdicts", type=Path, nargs="+", required=True, help="files <judge>/<model>.parquet"
    )
    parser.add_argument("--output", type=Path, required=True, help="folder of the experiments")
    args = parser.parse_args()
    prompts = files.read_parquet(args.prompts, PromptInfo)
    grid = experiments.grid_of(
        experiments.read_verdicts(args.verdicts), prompts["prompt_id"].to_list()
    )
    settings = args.statistics
    check_invalid_share(grid, settings["max_invalid_share"])
    resamples = Resamples(
        len(grid.prompt_ids), settings["bootstrap_resamples"], settings["bootstrap_seed"]
    )
    limits = [*settings["thresholds"], settings["unstable_below"]]
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
