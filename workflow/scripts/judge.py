"""Write one judge's verdicts on one model's responses, and their manifest."""

import argparse
import json
import sys
from pathlib import Path

import polars as pl

from refusal_stability.api import budget
from refusal_stability.cache.results import ResultCache
from refusal_stability.core import cli
from refusal_stability.core.cells import cell_files
from refusal_stability.engine import multinode
from refusal_stability.hub.weights import pinned
from refusal_stability.judging import judge as judging
from refusal_stability.judging import local
from refusal_stability.schemas import storage
from refusal_stability.schemas.stages import Prompts, Responses, Verdicts
from refusal_stability.settings.judges import with_defaults


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--judge", type=json.loads, required=True, help="its settings, as JSON")
    parser.add_argument(
        "--fetched", type=Path, nargs="?", help="record of fetched weights, JSON; unless local"
    )
    parser.add_argument("--prompts", type=Path, required=True, help="prompts, Parquet")
    parser.add_argument(
        "--responses", type=Path, required=True, help="folder of a model's cells, named for it"
    )
    parser.add_argument("--temperatures", type=float, nargs="+", required=True)
    parser.add_argument("--seeds", type=int, nargs="+", required=True)
    parser.add_argument(
        "--output", type=Path, required=True, help="verdicts, Parquet; its manifest beside it"
    )
    parser.add_argument(
        "--cache", type=Path, required=True, help="verdicts that are not to be paid for twice"
    )
    parser.add_argument(
        "--shared-cache", type=Path, help="folder of verdicts of a judge with weights, of all runs"
    )
    parser.add_argument(
        "--budget", nargs=2, metavar=("FILE", "CALLS"), help="counted calls of APIs, and the most"
    )
    args = parser.parse_args()
    if multinode.number(args.judge) > 0:
        local.lend_node(pinned(args.judge, args.fetched))
        return
    prompts = storage.read_parquet(args.prompts, Prompts)
    cells = cell_files(args.responses, args.temperatures, args.seeds)
    responses = pl.concat(storage.read_parquet(path, Responses) for path in cells)
    judge = pinned(with_defaults(args.judge), args.fetched)
    model = args.responses.name
    cache = args.cache
    if "weights" in judge:
        cache = args.shared_cache and ResultCache(args.shared_cache, "cell")
    verdicts, manifest = judging.judge_model(
        judge, model, prompts, responses, cache, budget.of_arguments(args.budget)
    )
    storage.write_parquet(verdicts, args.output, Verdicts, manifest)
    print(judging.summary(manifest), file=sys.stderr)
    local.end_engine(judge)


if __name__ == "__main__":
    cli.run(main)
