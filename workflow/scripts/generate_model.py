"""Write the replies of all cells of a model, with one engine."""

import argparse
import json
from itertools import product
from pathlib import Path

from refusal_stability.cache.results import ResultCache
from refusal_stability.cache.staging import StagedResults
from refusal_stability.core import cli
from refusal_stability.engine import multinode, vllm_engine
from refusal_stability.generation import shared_engine
from refusal_stability.hub.weights import pinned
from refusal_stability.schemas import storage
from refusal_stability.schemas.stages import Prompts, Responses


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=json.loads, required=True, help="its settings, as JSON")
    parser.add_argument(
        "--fetched", type=Path, nargs="?", help="record of fetched weights, JSON; unless local"
    )
    parser.add_argument("--temperatures", type=float, nargs="+", required=True)
    parser.add_argument("--seeds", type=int, nargs="+", required=True)
    parser.add_argument("--prompts", type=Path, required=True, help="prompts, Parquet")
    parser.add_argument(
        "--folder", type=Path, required=True, help="for the responses of each cell, and manifests"
    )
    parser.add_argument(
        "--memory", type=Path, required=True, help="folder in which checksums are remembered"
    )
    parser.add_argument("--shared-cache", type=Path, help="folder of replies, of all runs")
    args = parser.parse_args()
    model = pinned(args.model, args.fetched)
    if multinode.number(model) > 0:
        vllm_engine.lend_node(model)
        return
    shared_engine.generate_missing(
        model,
        list(product(args.temperatures, args.seeds)),
        storage.read_parquet(args.prompts, Prompts),
        StagedResults(args.folder, Responses),
        args.memory,
        args.shared_cache and ResultCache(args.shared_cache, "model"),
    )


if __name__ == "__main__":
    cli.run(main)
