"""Write the replies of one cell and their manifest."""

import argparse
import json
from pathlib import Path

from refusal_stability.api import budget
from refusal_stability.cache.results import ResultCache
from refusal_stability.core import cli
from refusal_stability.engine import multinode, vllm_engine
from refusal_stability.generation import api, local
from refusal_stability.hub.weights import pinned
from refusal_stability.schemas import storage
from refusal_stability.schemas.stages import Prompts, Responses


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=json.loads, required=True, help="its settings, as JSON")
    parser.add_argument(
        "--fetched", type=Path, nargs="?", help="record of fetched weights, JSON; unless local"
    )
    parser.add_argument("--temperature", type=float, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--prompts", type=Path, required=True, help="prompts, Parquet")
    parser.add_argument(
        "--cache", type=Path, required=True, help="folder of replies not to be paid for twice"
    )
    parser.add_argument(
        "--shared-cache", type=Path, help="folder of replies of a model with weights, of all runs"
    )
    parser.add_argument(
        "--budget", nargs=2, metavar=("FILE", "CALLS"), help="counted calls of APIs, and the most"
    )
    parser.add_argument(
        "--output", type=Path, required=True, help="responses, Parquet; its manifest beside it"
    )
    args = parser.parse_args()
    if multinode.number(args.model) > 0:
        vllm_engine.lend_node(pinned(args.model, args.fetched))
        return
    prompts = storage.read_parquet(args.prompts, Prompts)
    if args.model.get("kind") == "openai":
        cache = args.cache / args.model["name"] / f"{args.output.stem}.jsonl"
        responses, manifest = api.generate_cell(
            args.model,
            args.temperature,
            args.seed,
            prompts,
            cache,
            budget.of_arguments(args.budget),
        )
    else:
        model = pinned(args.model, args.fetched)
        shared = args.shared_cache and ResultCache(args.shared_cache, "cell")
        responses, manifest = local.generate_cell(
            model, args.temperature, args.seed, prompts, shared
        )
    storage.write_parquet(responses, args.output, Responses, manifest)


if __name__ == "__main__":
    cli.run(main)
