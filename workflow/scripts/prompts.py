"""Write the prompts of a run and their manifest."""

import argparse
import json
import sys
from pathlib import Path

from refusal_stability import command, files
from refusal_stability.contracts import Prompts
from refusal_stability.prompt_settings import check_expectation
from refusal_stability.prompts import load_prompts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", type=json.loads, required=True, help="`prompts`, as JSON")
    parser.add_argument(
        "--output", type=Path, required=True, help="prompts, Parquet; its manifest beside it"
    )
    parser.add_argument("--expect", type=json.loads, default={}, help="count and sha256, as JSON")
    args = parser.parse_args()
    prompts, manifest = load_prompts(args.settings)
    check_expectation(args.expect, manifest, "the source")
    files.write_parquet(prompts, args.output, Prompts, manifest)
    print(
        f"{manifest['count']} prompts, {manifest['duplicates_dropped']} duplicates dropped",
        file=sys.stderr,
    )


if __name__ == "__main__":
    command.run(main)
