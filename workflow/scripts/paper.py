"""Write what a paper needs of a run: methods, citations, and its tables as Markdown and LaTeX."""

import argparse
import json
from pathlib import Path

from refusal_stability.core import cli, files
from refusal_stability.report.paper import tables as paper_tables
from refusal_stability.report.paper import write
from refusal_stability.schemas import storage


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="folder of the run")
    parser.add_argument("--models", nargs="+", required=True)
    parser.add_argument("--judges", nargs="+", required=True)
    parser.add_argument("--temperatures", type=float, nargs="+", default=[])
    parser.add_argument("--seeds", type=int, nargs="+", default=[])
    parser.add_argument(
        "--statistics", type=json.loads, required=True, help="`statistics` of the config, as JSON"
    )
    parser.add_argument("--tables", type=Path, nargs="+", required=True, help="CSV files")
    parser.add_argument("--citations", type=Path, required=True, help="BibTeX entries")
    parser.add_argument("--output", type=Path, required=True, help="folder of the results")
    args = parser.parse_args()
    tables = {}
    for path in args.tables:
        name = paper_tables.name_of(path)
        # What else lies in the folder of experiments is no table of theirs.
        if contract := paper_tables.contract_of(name):
            tables[name] = storage.read_csv(path, contract)
    grid = (args.temperatures, args.seeds)
    sections = write.methods(args.run, args.models, args.judges, grid, args.statistics)
    write.write(args.output, sections, tables, files.read_text(args.citations))


if __name__ == "__main__":
    cli.run(main)
