"""Forecast from first tokens how stable the decision on each prompt is, and look whether it is."""

import json
from pathlib import Path

import polars as pl

from refusal_stability.core import cli
from refusal_stability.core.cells import cell_files
from refusal_stability.experiments import common
from refusal_stability.experiments.boundary import figure
from refusal_stability.experiments.boundary.analysis import Asked, beginnings_of, boundary, caption
from refusal_stability.schemas import storage
from refusal_stability.schemas.stages import FirstTokens, Responses


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument(
        "--cuts", type=json.loads, required=True, help="top_p and top_k of each model, as JSON"
    )
    parser.add_argument("--tokens", type=int, required=True, help="first tokens of each reply")
    parser.add_argument("--without", nargs="*", default=[], help="models without probabilities")
    parser.add_argument(
        "--first-tokens", type=Path, nargs="*", default=[], help="files <model>.parquet"
    )
    parser.add_argument("--responses", type=Path, required=True, help="folder of all responses")
    parser.add_argument("--temperatures", type=float, nargs="+", required=True)
    parser.add_argument("--seeds", type=int, nargs="+", required=True)
    args = parser.parse_args()
    asked = {}
    for path in args.first_tokens:
        cells = cell_files(args.responses / path.stem, args.temperatures, args.seeds)
        first = storage.read_parquet(path, FirstTokens)
        asked[path.stem] = Asked(
            first,
            pl.concat(
                beginnings_of(storage.read_parquet(cell, Responses), first) for cell in cells
            ),
            **args.cuts[path.stem],
        )
    judged = common.read_verdicts(args.verdicts)
    # Refused where too many labels are invalid.
    common.grid_of(args, judged)
    prompt_ids = common.prompts_of(args)["prompt_id"].to_list()
    tables = boundary(asked, judged, prompt_ids, common.bootstrap_of(args))
    common.write(
        args.output,
        "boundary",
        tables,
        caption(tables["boundary"], args.tokens, args.without),
        lambda: figure.boundary(tables["boundary_calibration"], tables["boundary_prompts"]),
    )


if __name__ == "__main__":
    cli.run(main)
