"""Write every table of a run."""

import argparse
import json
from pathlib import Path

import polars as pl

from refusal_stability import command, files
from refusal_stability.contracts import TABLES, Prompts, Stability, Verdicts
from refusal_stability.tables import Settings, make_tables


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--settings", type=json.loads, required=True, help="`statistics` of the config, as JSON"
    )
    parser.add_argument("--prompts", type=Path, required=True, help="prompts, Parquet")
    parser.add_argument(
        "--stability", type=Path, nargs="+", required=True, help="one file a judge, named for it"
    )
    parser.add_argument(
        "--verdicts", type=Path, nargs="+", required=True, help="files <judge>/<model>.parquet"
    )
    parser.add_argument("--output", type=Path, required=True, help="folder of the tables")
    args = parser.parse_args()
    stability = pl.concat(
        files.read_parquet(path, Stability).with_columns(judge=pl.lit(path.stem))
        for path in args.stability
    )
    verdicts = pl.concat(
        files.read_parquet(path, Verdicts).with_columns(
            judge=pl.lit(path.parent.name), model=pl.lit(path.stem)
        )
        for path in args.verdicts
    )
    prompts = files.read_parquet(args.prompts, Prompts)
    tables = make_tables(stability, verdicts, prompts, Settings(**args.settings))
    for name, contract in TABLES.items():
        files.write_csv(tables[name], args.output / f"{name}.csv", contract)


if __name__ == "__main__":
    command.run(main)
