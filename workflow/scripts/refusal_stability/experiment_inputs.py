"""What the scripts of experiments take: statistics, prompts, verdicts, and where to write."""

import argparse
import json
from pathlib import Path

import polars as pl

from refusal_stability import experiments, files
from refusal_stability.contracts import PromptInfo
from refusal_stability.grid import Grid
from refusal_stability.resampling import Resamples
from refusal_stability.tables import check_invalid_share


def parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser of what all of them take."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument(
        "--statistics", type=json.loads, required=True, help="`statistics` of the config, as JSON"
    )
    made.add_argument("--prompts", type=Path, required=True, help="prompts, Parquet")
    made.add_argument(
        "--verdicts", type=Path, nargs="+", required=True, help="files <judge>/<model>.parquet"
    )
    made.add_argument("--output", type=Path, required=True, help="folder of the experiments")
    return made


def prompts_of(args: argparse.Namespace) -> pl.DataFrame:
    """Return the prompts, which keep the contract PromptInfo."""
    return files.read_parquet(args.prompts, PromptInfo)


def grid_of(args: argparse.Namespace, judged: experiments.Judged | None = None) -> Grid:
    """Return the arrays of the verdicts, or of ``judged`` in their place.

    Raises:
        InputError: more labels than `max_invalid_share` are not valid.
    """
    judged = judged or experiments.read_verdicts(args.verdicts)
    grid = experiments.grid_of(judged, prompts_of(args)["prompt_id"].to_list())
    check_invalid_share(grid, args.statistics["max_invalid_share"])
    return grid


def bootstrap_of(args: argparse.Namespace) -> tuple[int, int]:
    """Return the number of resamples and their seed."""
    return args.statistics["bootstrap_resamples"], args.statistics["bootstrap_seed"]


def resamples_of(args: argparse.Namespace, grid: Grid) -> Resamples:
    """Return resamples of the prompts."""
    return Resamples(len(grid.prompt_ids), *bootstrap_of(args))
