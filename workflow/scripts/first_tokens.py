"""Write how likely each first token of a model's replies is, and the manifest."""

import argparse
import json
from pathlib import Path

from refusal_stability import command, files, nodes
from refusal_stability.contracts import FirstTokens, Prompts
from refusal_stability.first_tokens import first_tokens, lend_node
from refusal_stability.hub_weights import pinned


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
    if nodes.number(model) > 0:
        lend_node(model)
        return
    prompts = files.read_parquet(args.prompts, Prompts)
    table, manifest = first_tokens(model, prompts, args.tokens)
    files.write_parquet(table, args.output, FirstTokens, manifest)


if __name__ == "__main__":
    command.run(main)
