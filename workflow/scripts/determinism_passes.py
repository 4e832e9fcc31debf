"""Write the replies of several passes over the same greedy requests, in one engine."""

import argparse
import json
from pathlib import Path

from refusal_stability.core import cli
from refusal_stability.core.cells import cell_files
from refusal_stability.engine import multinode
from refusal_stability.experiments.determinism import passes as repeated_passes
from refusal_stability.hub.weights import pinned
from refusal_stability.schemas import storage
from refusal_stability.schemas.stages import Passes, Prompts, Responses


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=json.loads, required=True, help="its settings, as JSON")
    parser.add_argument(
        "--fetched", type=Path, nargs="?", help="record of fetched weights, JSON; unless local"
    )
    parser.add_argument("--prompts", type=Path, required=True, help="prompts, Parquet")
    parser.add_argument("--seeds", type=int, nargs="+", required=True, help="a pass each")
    parser.add_argument("--test", type=Path, required=True, help="the arm's self-test, JSON")
    parser.add_argument("--responses", type=Path, required=True, help="folder of the cells")
    parser.add_argument("--passes", type=Path, required=True, help="what they were like, Parquet")
    args = parser.parse_args()
    model = pinned(args.model, args.fetched)
    test = json.loads(args.test.read_text(encoding="utf-8"))
    if multinode.number(model) > 0:
        if test["available"]:
            repeated_passes.lend_node(model)
        return
    prompts = storage.read_parquet(args.prompts, Prompts)
    responses, passes, manifest = repeated_passes.passes(
        model, prompts, args.seeds, test["available"]
    )
    cells = cell_files(args.responses, [0.0], args.seeds)
    for path, table in zip(cells, responses.values(), strict=True):
        storage.write_parquet(table, path, Responses)
    manifest = {"model": model, "self_test": test, **manifest}
    storage.write_parquet(passes, args.passes, Passes, manifest)


if __name__ == "__main__":
    cli.run(main)
