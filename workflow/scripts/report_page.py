"""Write the page of a run: what was found, to read, explore and share."""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from refusal_stability.core import cli
from refusal_stability.core.cells import cell_files
from refusal_stability.report.embedded_data import page_labels, page_text
from refusal_stability.report.page import Run, page
from refusal_stability.report.paper import write
from refusal_stability.report.run_comparison import page_compare
from refusal_stability.schemas import storage
from refusal_stability.schemas.stages import PromptInfo, Prompts, Responses, Stability, Verdicts
from refusal_stability.schemas.tables import MORE_TABLES, TABLES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", required=True, help="name of the run")
    parser.add_argument(
        "--about", type=json.loads, required=True, help="what only the configuration knows, as JSON"
    )
    parser.add_argument("--prompts", type=Path, required=True, help="prompts, Parquet")
    parser.add_argument(
        "--verdicts", type=Path, nargs="+", required=True, help="files <judge>/<model>.parquet"
    )
    parser.add_argument("--stability", type=Path, required=True, help="the first judge's, Parquet")
    parser.add_argument("--tables", type=Path, required=True, help="folder of the tables")
    parser.add_argument(
        "--more-tables", type=Path, nargs="*", default=[], help="replication.csv, cost.csv"
    )
    parser.add_argument("--resources", type=Path, required=True, help="template, style, scripts")
    parser.add_argument(
        "--responses", type=Path, help="folder of <model>/<cell>.parquet, to include all text"
    )
    parser.add_argument("--temperatures", type=float, nargs="+", default=[])
    parser.add_argument("--seeds", type=int, nargs="+", default=[])
    parser.add_argument("--other-models", type=Path, help="table of models of another run")
    parser.add_argument("--other-verdicts", type=Path, nargs="*", default=[], help="its verdicts")
    parser.add_argument("--output", type=Path, required=True, help="the page, HTML")
    args = parser.parse_args()
    info = storage.read_parquet(args.prompts, PromptInfo)
    tables = {
        name: storage.read_csv(args.tables / f"{name}.csv", contract)
        for name, contract in TABLES.items()
    }
    tables |= {
        path.stem: storage.read_csv(path, MORE_TABLES[path.stem]) for path in args.more_tables
    }
    labels = page_labels(_verdicts(args.verdicts), info["prompt_id"].to_list())
    stability = storage.read_parquet(args.stability, Stability)
    other = None
    if args.other_models:
        other = page_compare(
            args.run,
            args.other_models.parents[1].name,
            dict(_verdicts(args.verdicts)),
            dict(_verdicts(args.other_verdicts)),
            storage.read_csv(args.other_models, TABLES["models"]),
            info,
            tuple(args.about["statistics"][f"bootstrap_{what}"] for what in ("resamples", "seed")),
        )
    text = None
    if args.responses:
        # Of those that flip, the text is what one looks for.
        least_stable_first = (
            stability.filter(scoring="three_way", scope="pooled")
            .group_by("prompt_id")
            .agg(pl.col("ssi").mean())
            .sort("ssi", "prompt_id", nulls_last=True)
        )
        text = page_text(
            storage.read_parquet(args.prompts, Prompts),
            _replies(args, labels.models),
            labels.models,
            labels.temperatures,
            labels.seeds,
            least_stable_first["prompt_id"].to_list(),
        )
    methods = write.methods(
        args.tables.parent,
        labels.models,
        labels.judges,
        (args.temperatures, args.seeds),
        args.about["statistics"],
    )
    run = Run(args.run, args.about, info, labels, stability, tables, text, other, methods)
    storage.write_text(page(run, args.resources), args.output)


def _verdicts(paths: list[Path]) -> Iterator[tuple[tuple[str, str], pl.DataFrame]]:
    # One at a time: twenty million labels are many.
    for path in paths:
        yield (path.parent.name, path.stem), storage.read_parquet(path, Verdicts)


def _replies(args: argparse.Namespace, models: list[str]) -> Iterator[tuple[str, pl.DataFrame]]:
    for model in models:
        for path in cell_files(args.responses / model, args.temperatures, args.seeds):
            yield model, storage.read_parquet(path, Responses)


if __name__ == "__main__":
    cli.run(main)
