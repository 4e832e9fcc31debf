"""Forecast from first tokens how stable the decision on each prompt is, and look whether it is."""

import argparse
import json
from pathlib import Path

import polars as pl

from refusal_stability import boundary_figure, command, experiments, files
from refusal_stability.boundary import Asked, beginnings_of, boundary, caption
from refusal_stability.cells import cell_files
from refusal_stability.contracts import FirstTokens, PromptInfo, Responses
from refusal_stability.tables import check_invalid_share


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--statistics", type=json.loads, required=True, help="`statistics` of the config, as JSON"
    )
    parser.add_argument(
        "--cuts", type=json.loads, required=True, help="top_p and top_k of each model, as JSON"
    )
    parser.add_argument("--tokens", type=int, required=True, help="first tokens of each reply")
    parser.add_argument("--without", nargs="*", default=[], help="models without probabilities")
    parser.add_argument("--prompts", type=Path, required=True, help="prompts, Parquet")
    parser.add_argument(
        "--first-tokens", type=Path, nargs="*", default=[], help="files <model>.parquet"
    )
    parser.add_argument("--responses", type=Path, required=True, help="folder of all responses")
    parser.add_argument("--temperatures", type=float, nargs="+", required=True)
    parser.add_argument("--seeds", type=int, nargs="+", required=True)
    parser.add_argument(
        "--verdicts", type=Path, nargs="+", required=True, help="files <judge>/<model>.parquet"
    )
    parser.add_argument("--output", type=Path, required=True, help="folder of the experiments")
    args = parser.parse_args()
    prompt_ids = files.read_parquet(args.prompts, PromptInfo)["prompt_id"].to_list()
    asked = {}
    for path in args.first_tokens:
        cells = cell_files(args.responses / path.stem, args.temperatures, args.seeds)
        first = files.read_parquet(path, FirstTokens)
        asked[path.stem] = Asked(
            first,
            pl.concat(beginnings_of(files.read_parquet(cell, Responses), first) for cell in cells),
            **args.cuts[path.stem],
        )
    judged = experiments.read_verdicts(args.verdicts)
    settings = args.statistics
    check_invalid_share(experiments.grid_of(judged, prompt_ids), settings["max_invalid_share"])
    tables = boundary(
        asked,
        judged,
        prompt_ids,
        (settings["bootstrap_resamples"], settings["bootstrap_seed"]),
    )
    experiments.write(
        args.output,
        "boundary",
        tables,
        caption(tables["boundary"], args.tokens, args.without),
        lambda: boundary_figure.boundary(
            tables["boundary_calibration"], tables["boundary_prompts"]
        ),
    )


if __name__ == "__main__":
    command.run(main)
