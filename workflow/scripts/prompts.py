"""Write the prompts of a run and their manifest."""

import argparse
import json
import sys
from pathlib import Path

from refusal_stability.core import cli
from refusal_stability.prompts.load import load_prompts
from refusal_stability.schemas import storage
from refusal_stability.schemas.stages import Prompts
from refusal_stability.settings.prompts import check_expectation


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
    storage.write_parquet(prompts, args.output, Prompts, manifest)
    print(
        f"{manifest['count']} prompts, {manifest['duplicates_dropped']} duplicates dropped",
        file=sys.stderr,
    )


if __name__ == "__main__":
    cli.run(main)
