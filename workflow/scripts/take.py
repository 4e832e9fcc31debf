"""Take a table and its manifest from where a shared engine left them."""

import argparse
from pathlib import Path

from refusal_stability.cache.collect import take
from refusal_stability.core import cli


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kept", type=Path, required=True, help="the table, Parquet")
    parser.add_argument("--marker", type=Path, required=True, help="says that it is finished")
    parser.add_argument("--output", type=Path, required=True, help="the same, in its place")
    args = parser.parse_args()
    take(args.kept, args.marker, args.output)


if __name__ == "__main__":
    cli.run(main)
