"""Write whether a way of running the engine is there, and gives equal requests equal replies."""

import argparse
import json
from pathlib import Path

from refusal_stability.core import cli
from refusal_stability.engine import multinode
from refusal_stability.experiments.determinism import passes
from refusal_stability.hub.weights import pinned
from refusal_stability.schemas import storage
from refusal_stability.schemas.stages import Prompts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=json.loads, required=True, help="its settings, as JSON")
    parser.add_argument(
        "--fetched", type=Path, nargs="?", help="record of fetched weights, JSON; unless local"
    )
    parser.add_argument("--prompts", type=Path, required=True, help="prompts, Parquet")
    parser.add_argument("--output", type=Path, required=True, help="what was found, JSON")
    args = parser.parse_args()
    model = pinned(args.model, args.fetched)
    if multinode.number(model) > 0:
        passes.lend_node(model)
        return
    prompts = storage.read_parquet(args.prompts, Prompts)
    storage.write_json(passes.self_test(model, prompts), args.output)


if __name__ == "__main__":
    cli.run(main)
