"""Draw the figures of one judge."""

import argparse
from pathlib import Path

from refusal_stability import command, files
from refusal_stability.contracts import Stability
from refusal_stability.figure_parts import Data
from refusal_stability.figures import TABLES_DRAWN, draw_figures
from refusal_stability.table_contracts import TABLES


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
        stability=files.read_parquet(args.stability, Stability),
        tables={
            name: files.read_csv(args.tables / f"{name}.csv", TABLES[name]) for name in TABLES_DRAWN
        },
        unstable_below=args.unstable_below,
    )
    draw_figures(data, args.output)


if __name__ == "__main__":
    command.run(main)
