"""Draw the figures of one judge."""

import argparse
from pathlib import Path

from refusal_stability.core import cli
from refusal_stability.figures.draw import TABLES_DRAWN, draw_figures
from refusal_stability.figures.style import Data
from refusal_stability.schemas import storage
from refusal_stability.schemas.stages import Stability
from refusal_stability.schemas.tables import TABLES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--judge", required=True)
    parser.add_argument("--stability", type=Path, required=True, help="the judge's, Parquet")
    parser.add_argument("--tables", type=Path, required=True, help="folder of the tables")
    parser.add_argument("--unstable-below", type=float, required=True)
    parser.add_argument("--output", type=Path, required=True, help="folder of the figures")
    args = parser.parse_args()
    data = Data(
        judge=args.judge,
        stability=storage.read_parquet(args.stability, Stability),
        tables={
            name: storage.read_csv(args.tables / f"{name}.csv", TABLES[name])
            for name in TABLES_DRAWN
        },
        unstable_below=args.unstable_below,
    )
    draw_figures(data, args.output)


if __name__ == "__main__":
    cli.run(main)
