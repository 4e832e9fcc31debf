"""Write the stability of every prompt under one judge."""

import argparse
from pathlib import Path

import polars as pl

from refusal_stability.core import cli
from refusal_stability.schemas import storage
from refusal_stability.schemas.stages import Stability, Verdicts
from refusal_stability.statistics.stability import stability


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--verdicts", type=Path, nargs="+", required=True, help="one file a model, named for it"
    )
    parser.add_argument("--output", type=Path, required=True, help="stability, Parquet")
    args = parser.parse_args()
    # One model after the other: all verdicts at once would be most of the memory.
    tables = [
        stability(storage.read_parquet(path, Verdicts).with_columns(model=pl.lit(path.stem)))
        for path in args.verdicts
    ]
    storage.write_parquet(pl.concat(tables), args.output, Stability)


if __name__ == "__main__":
    cli.run(main)
