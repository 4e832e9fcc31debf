"""Write the published figures beside those of a run."""

import argparse
from pathlib import Path

from refusal_stability.core import cli
from refusal_stability.report.replication import read_figures, replication
from refusal_stability.schemas import storage
from refusal_stability.schemas.tables import REPLICATION, TABLES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--figures", type=Path, required=True, help="published figures, YAML")
    parser.add_argument("--tables", type=Path, required=True, help="folder of the tables")
    parser.add_argument("--output", type=Path, required=True, help="the comparison, CSV")
    args = parser.parse_args()
    tables = {
        name: storage.read_csv(args.tables / f"{name}.csv", contract)
        for name, contract in TABLES.items()
    }
    table = replication(read_figures(args.figures), tables)
    storage.write_csv(table, args.output, REPLICATION)


if __name__ == "__main__":
    cli.run(main)
