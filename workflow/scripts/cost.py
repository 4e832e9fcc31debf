"""Write the table of what a run did cost."""

import argparse
import json
from pathlib import Path

from refusal_stability.core import cli
from refusal_stability.core.cells import cell_name
from refusal_stability.costs.table import cost_table
from refusal_stability.schemas import storage
from refusal_stability.schemas.tables import COST


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="folder of the run")
    parser.add_argument(
        "--grid",
        type=json.loads,
        required=True,
        help="its models, judges, temperatures and seeds, as JSON",
    )
    parser.add_argument(
        "--prices", type=json.loads, required=True, help="`prices` of the config, as JSON"
    )
    parser.add_argument("--output", type=Path, required=True, help="the table, CSV")
    args = parser.parse_args()
    cells = [
        cell_name(temperature, seed)
        for temperature in args.grid["temperatures"]
        for seed in args.grid["seeds"]
    ]
    table = cost_table(args.run, args.grid["models"], args.grid["judges"], cells, args.prices)
    storage.write_csv(table, args.output, COST)


if __name__ == "__main__":
    cli.run(main)
