"""Download the weights of one revision into the Hugging Face cache and write what is there."""

import argparse
import json
import sys
from pathlib import Path

from refusal_stability.core import cli
from refusal_stability.hub.weights import fetch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", required=True, help="owner/name")
    parser.add_argument("--revision", required=True, help="branch, tag or commit")
    parser.add_argument("--output", type=Path, required=True, help="record, JSON")
    parser.add_argument(
        "--progress", type=int, default=2, help="file descriptor of the terminal for bars"
    )
    parser.add_argument(
        "--allow-pickle", action="store_true", help="also weights that are no safetensors"
    )
    args = parser.parse_args()
    with open(args.progress, "w", closefd=False) as progress:
        record = fetch(args.weights, args.revision, progress, args.allow_pickle)
    args.output.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    print(
        f"{args.weights} at {record['commit']}: {len(record['files'])} files, "
        f"{record['bytes']} bytes",
        file=sys.stderr,
    )


if __name__ == "__main__":
    cli.run(main)
