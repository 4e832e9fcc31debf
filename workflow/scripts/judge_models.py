"""Write one judge's verdicts on the responses of several models, with one engine."""

import argparse
import json
from pathlib import Path

from refusal_stability.cache.results import ResultCache
from refusal_stability.cache.staging import StagedResults
from refusal_stability.core import cli
from refusal_stability.core.cells import cell_files
from refusal_stability.engine import multinode
from refusal_stability.hub.weights import pinned
from refusal_stability.judging import local, shared_engine
from refusal_stability.schemas import storage
from refusal_stability.schemas.stages import Prompts, Verdicts
from refusal_stability.settings.judges import with_defaults


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--judge", type=json.loads, required=True, help="its settings, as JSON")
    parser.add_argument(
        "--fetched", type=Path, nargs="?", help="record of fetched weights, JSON; unless local"
    )
    parser.add_argument("--models", nargs="+", required=True, help="their names")
    parser.add_argument("--temperatures", type=float, nargs="+", required=True)
    parser.add_argument("--seeds", type=int, nargs="+", required=True)
    parser.add_argument("--prompts", type=Path, required=True, help="prompts, Parquet")
    parser.add_argument(
        "--responses", type=Path, required=True, help="a folder a model, with its cells in Parquet"
    )
    parser.add_argument(
        "--folder", type=Path, required=True, help="for the verdicts on each model, and manifests"
    )
    parser.add_argument(
        "--memory", type=Path, required=True, help="folder in which checksums are remembered"
    )
    parser.add_argument("--shared-cache", type=Path, help="folder of verdicts, of all runs")
    args = parser.parse_args()
    judge = pinned(with_defaults(args.judge), args.fetched)
    if multinode.number(judge) > 0:
        local.lend_node(judge)
        return
    shared_engine.judge_missing(
        judge,
        {
            model: cell_files(args.responses / model, args.temperatures, args.seeds)
            for model in args.models
        },
        storage.read_parquet(args.prompts, Prompts),
        StagedResults(args.folder, Verdicts),
        args.memory,
        args.shared_cache and ResultCache(args.shared_cache, "model"),
    )


if __name__ == "__main__":
    cli.run(main)
