"""Write every table of a run."""

import argparse
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import polars as pl

from refusal_stability.core import cli
from refusal_stability.core.cells import cell_files
from refusal_stability.schemas import storage
from refusal_stability.schemas.stages import PromptInfo, Responses, Stability, Verdicts
from refusal_stability.schemas.tables import TABLES
from refusal_stability.statistics.tables import Settings, make_tables


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
    parser.add_argument(
        "--responses", type=Path, help="folder of <model>/<cell>.parquet, unless labels came alone"
    )
    parser.add_argument("--temperatures", type=float, nargs="+", default=[])
    parser.add_argument("--seeds", type=int, nargs="+", default=[])
    parser.add_argument("--output", type=Path, required=True, help="folder of the tables")
    args = parser.parse_args()
    tables = make_tables(
        ((path.stem, storage.read_parquet(path, Stability)) for path in args.stability),
        _verdicts(args.verdicts),
        storage.read_parquet(args.prompts, PromptInfo),
        Settings(**args.settings),
        _truncated(args) if args.responses else (),
    )
    for name, contract in TABLES.items():
        storage.write_csv(tables[name], args.output / f"{name}.csv", contract)


def _verdicts(paths: Iterable[Path]) -> Iterator[tuple[str, str, pl.DataFrame]]:
    for path in paths:
        yield path.parent.name, path.stem, storage.read_parquet(path, Verdicts)


def _truncated(args: argparse.Namespace) -> Iterator[tuple[str, pl.DataFrame]]:
    for model in dict.fromkeys(path.stem for path in args.verdicts):
        for path in cell_files(args.responses / model, args.temperatures, args.seeds):
            replies = storage.read_parquet(path, Responses)
            yield model, replies.filter(finish_reason="length").select("prompt_id")


if __name__ == "__main__":
    cli.run(main)
