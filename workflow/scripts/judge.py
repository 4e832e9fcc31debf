"""Write one judge's verdicts on one model's responses, and their manifest."""

import argparse
import json
import sys
from pathlib import Path

import polars as pl

from refusal_stability import budget, command, files, judging, judging_engine, nodes
from refusal_stability.cells import cell_files
from refusal_stability.contracts import Prompts, Responses, Verdicts
from refusal_stability.hub_weights import pinned
from refusal_stability.judge_settings import complete
from refusal_stability.result_cache import ResultCache


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
    if nodes.number(args.judge) > 0:
        judging_engine.lend_node(pinned(args.judge, args.fetched))
        return
    prompts = files.read_parquet(args.prompts, Prompts)
    cells = cell_files(args.responses, args.temperatures, args.seeds)
    responses = pl.concat(files.read_parquet(path, Responses) for path in cells)
    judge = pinned(complete(args.judge), args.fetched)
    model = args.responses.name
    cache = args.cache
    if "weights" in judge:
        cache = args.shared_cache and ResultCache(args.shared_cache, "cell")
    verdicts, manifest = judging.judge_model(
        judge, model, prompts, responses, cache, budget.of_arguments(args.budget)
    )
    files.write_parquet(verdicts, args.output, Verdicts, manifest)
    print(judging.summary(manifest), file=sys.stderr)
    judging_engine.end_engine(judge)


if __name__ == "__main__":
    command.run(main)
