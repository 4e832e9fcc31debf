"""Write whether a way of running the engine is there, and gives equal requests equal replies."""

import argparse
import json
from pathlib import Path

from refusal_stability import command, files, nodes, repeated_passes
from refusal_stability.contracts import Prompts
from refusal_stability.hub_weights import pinned


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
    if nodes.number(model) > 0:
        repeated_passes.lend_node(model)
        return
    prompts = files.read_parquet(args.prompts, Prompts)
    files.write_json(repeated_passes.self_test(model, prompts), args.output)


if __name__ == "__main__":
    command.run(main)
