"""Compare one sampling seed for all prompts of a cell with a seed for each prompt."""

import argparse
import json
from pathlib import Path

from refusal_stability import command, experiments, files, seed_scope_figure
from refusal_stability.contracts import PromptInfo
from refusal_stability.seed_scope import caption, seed_scope
from refusal_stability.tables import check_invalid_share


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--statistics", type=json.loads, required=True, help="`statistics` of the config, as JSON"
    )
    parser.add_argument(
        "--arms", type=json.loads, required=True, help="{model: cell, prompt or unknown}, as JSON"
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
