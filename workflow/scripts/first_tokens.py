"""Write how likely each first token of a model's replies is, and the manifest."""

import argparse
import json
from pathlib import Path

from refusal_stability.core import cli
from refusal_stability.engine import multinode
from refusal_stability.experiments.boundary.first_tokens import first_tokens, lend_node
from refusal_stability.hub.weights import pinned
from refusal_stability.schemas import storage
from refusal_stability.schemas.stages import FirstTokens, Prompts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=json.loads, required=True, help="its settings, as JSON")
    parser.add_argument(
        "--fetched", type=Path, nargs="?", help="record of fetched weights, JSON; unless local"
    )
    parser.add_argument("--prompts", type=Path, required=True, help="prompts, Parquet")
    parser.add_argument("--tokens", type=int, required=True, help="how many, from the start")
    parser.add_argument(
        "--output", type=Path, required=True, help="first tokens, Parquet; its manifest beside it"
    )
    args = parser.parse_args()
    model = pinned(args.model, args.fetched)
    if multinode.number(model) > 0:
        lend_node(model)
        return
    prompts = storage.read_parquet(args.prompts, Prompts)
    table, manifest = first_tokens(model, prompts, args.tokens)
    storage.write_parquet(table, args.output, FirstTokens, manifest)


if __name__ == "__main__":
    cli.run(main)
