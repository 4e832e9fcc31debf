"""What experiments share: the verdicts they start from, and what they leave behind."""

from collections.abc import Callable, Iterable
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import polars as pl
from matplotlib.figure import Figure

from refusal_stability import files
from refusal_stability.contracts import Verdicts
from refusal_stability.experiment_contracts import EXPERIMENT_TABLES
from refusal_stability.figure_parts import STYLE, save
from refusal_stability.grid import Grid, make_grid
from refusal_stability.labels import VALID_LABELS
from refusal_stability.stability import stability
from refusal_stability.words import listed as listed

# Verdicts by judge and model, each table keeps the contract Verdicts.
Judged = dict[tuple[str, str], pl.DataFrame]


def read_verdicts(paths: Iterable[Path]) -> Judged:
    """Read files named <judge>/<model>.parquet."""
    return {(path.parent.name, path.stem): files.read_parquet(path, Verdicts) for path in paths}


def grid_of(judged: Judged, prompt_ids: list[str]) -> Grid:
    """Return the arrays of some verdicts; their prompts must be among ``prompt_ids``."""
    stable = []
    for judge in dict.fromkeys(judge for judge, _ in judged):
        tables = [
            table.with_columns(model=pl.lit(model))
            for (name, model), table in judged.items()
            if name == judge
        ]
        stable.append((judge, stability(pl.concat(tables))))
    verdicts = ((judge, model, table) for (judge, model), table in judged.items())
    return make_grid(stable, verdicts, prompt_ids)


def categories_of(grid: Grid, prompts: pl.DataFrame, column: str = "category") -> np.ndarray:
    """Return the category, or source, of each prompt of ``grid``, (prompts,); "(none)" if none."""
    known = dict(prompts.select("prompt_id", column).iter_rows())
    return np.array([known[prompt_id] or "(none)" for prompt_id in grid.prompt_ids], dtype=object)


def label_shares(counts: np.ndarray) -> np.ndarray:
    """Return the shares of the valid labels, (..., 3), of their counts; nan where there is none."""
    assert counts.shape[-1] == len(VALID_LABELS)
    with np.errstate(invalid="ignore"):
        return counts / counts.sum(axis=-1, keepdims=True)


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
        files.write_csv(content, folder / f"{table}.csv", EXPERIMENT_TABLES[table])
    with plt.rc_context(STYLE):
        save(draw(), folder / name)
    # Last: who reads the caption finds all else.
    (folder / f"{name}.txt").write_text(caption + "\n", encoding="utf-8")
