"""What experiments share: the verdicts they start from, and what they leave behind."""

import argparse
import json
from collections.abc import Callable, Iterable
from pathlib import Path

import matplotlib.pyplot as plt
import polars as pl
from matplotlib.figure import Figure

from refusal_stability.figures.style import STYLE, save
from refusal_stability.schemas import storage
from refusal_stability.schemas.experiments import EXPERIMENT_TABLES
from refusal_stability.schemas.stages import PromptInfo, Verdicts
from refusal_stability.statistics import run_arrays
from refusal_stability.statistics.bootstrap import Resamples
from refusal_stability.statistics.checks import check_invalid_share
from refusal_stability.statistics.run_arrays import Judged, RunArrays


def read_verdicts(paths: Iterable[Path]) -> Judged:
    """Read files named <judge>/<model>.parquet."""
    return {(path.parent.name, path.stem): storage.read_parquet(path, Verdicts) for path in paths}


def write(
    folder: Path,
    name: str,
    tables: dict[str, pl.DataFrame],
    caption: str,
    draw: Callable[[], Figure],
) -> None:
    """Write an experiment into ``folder``: its tables, figure and caption, named ``name``."""
    for table, content in tables.items():
        content = content.with_columns(pl.selectors.float().round_sig_figs(12))
        storage.write_csv(content, folder / f"{table}.csv", EXPERIMENT_TABLES[table])
    with plt.rc_context(STYLE):
        save(draw(), folder / name)
    # Last: who reads the caption finds all else.
    storage.write_text(caption + "\n", folder / f"{name}.txt")


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
    return storage.read_parquet(args.prompts, PromptInfo)


def grid_of(args: argparse.Namespace, judged: Judged | None = None) -> RunArrays:
    """Return the arrays of the verdicts, or of ``judged`` in their place.

    Raises:
        InputError: more labels than `max_invalid_share` are not valid.
    """
    judged = judged or read_verdicts(args.verdicts)
    grid = run_arrays.grid_of(judged, prompts_of(args)["prompt_id"].to_list())
    check_invalid_share(grid, args.statistics["max_invalid_share"])
    return grid


def bootstrap_of(args: argparse.Namespace) -> tuple[int, int]:
    """Return the number of resamples and their seed."""
    return args.statistics["bootstrap_resamples"], args.statistics["bootstrap_seed"]


def resamples_of(args: argparse.Namespace, grid: RunArrays) -> Resamples:
    """Return resamples of the prompts."""
    return Resamples(len(grid.prompt_ids), *bootstrap_of(args))
