"""Compare the stability of prompts of several categories."""

import argparse
import json
from pathlib import Path

from refusal_stability import command, experiment_figures, experiments, files
from refusal_stability.category_probe import caption, category_probe, chosen_prompts
from refusal_stability.contracts import PromptInfo
from refusal_stability.tables import check_invalid_share


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--statistics", type=json.loads, required=True, help="`statistics` of the config, as JSON"
    )
    parser.add_argument(
        "--settings", type=json.loads, required=True, help="`experiments.category_probe`, as JSON"
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
    check_invalid_share(grid, args.statistics["max_invalid_share"])
    seed = args.statistics["bootstrap_seed"]
    chosen = chosen_prompts(
        experiments.categories_of(grid, prompts, args.settings["grouping"]),
        args.settings.get("categories"),
        args.settings.get("prompts"),
        seed,
    )
    table = category_probe(grid, chosen, (args.statistics["bootstrap_resamples"], seed))
    experiments.write(
        args.output,
        "category_probe",
        {"category_probe": table},
        caption(table, chosen),
        lambda: experiment_figures.category_probe(table),
    )


if __name__ == "__main__":
    command.run(main)
