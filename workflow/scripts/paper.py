"""Write what a paper needs of a run: methods, citations, and its tables as Markdown and LaTeX."""

import argparse
import json
from pathlib import Path

from refusal_stability import command, files, paper
from refusal_stability.table_contracts import COST, EXPERIMENT_TABLES, REPLICATION, TABLES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="folder of the run")
    parser.add_argument("--models", nargs="+", required=True)
    parser.add_argument("--judges", nargs="+", required=True)
    parser.add_argument(
        "--statistics", type=json.loads, required=True, help="`statistics` of the config, as JSON"
    )
    parser.add_argument("--tables", type=Path, nargs="+", required=True, help="CSV files")
    parser.add_argument("--citations", type=Path, required=True, help="BibTeX entries")
    parser.add_argument("--output", type=Path, required=True, help="folder of the results")
    args = parser.parse_args()
    of_run = TABLES | {"cost": COST, "replication": REPLICATION}
    tables = {}
    for path in args.tables:
        if path.parent.name == "tables":
            tables[path.stem] = files.read_csv(path, of_run[path.stem])
        elif path.stem in EXPERIMENT_TABLES:
            # Some experiments have the name of a table of the run.
            table = files.read_csv(path, EXPERIMENT_TABLES[path.stem])
            tables[f"experiment_{path.stem}"] = table
    sections = paper.methods(args.run, args.models, args.judges, args.statistics)
    paper.write(args.output, sections, tables, files.read_text(args.citations))


if __name__ == "__main__":
    command.run(main)
