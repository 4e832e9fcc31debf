"""Generation with one engine for all cells of a model: what is finished is not made again."""

import sys
from pathlib import Path
from typing import Any

import polars as pl

from refusal_stability.cache.keys import weights_identity
from refusal_stability.cache.results import ResultCache
from refusal_stability.cache.staging import JobSeconds, StagedResults, work_key
from refusal_stability.core import versions
from refusal_stability.core.cells import cell_name
from refusal_stability.core.hashing import prompts_sha256
from refusal_stability.engine import vllm_engine
from refusal_stability.generation.cell import Cell
from refusal_stability.generation.local import generate_cells


def generate_missing(
    model: dict[str, Any],
    cells: list[Cell],
    prompts: pl.DataFrame,
    work: StagedResults,
    memory: Path,
    cache: ResultCache | None,
) -> None:
    """Generate those cells that are not finished, and keep each as soon as it is.

    A manifest's `job_seconds` are the job's own since the cell before was done; those of the first
    are since the process began, the start of the engine among them.

    Args:
        model: an entry of the configuration's `models`, defaults filled in.
        cells: all cells of the model.
        prompts: keeps the contract :class:`~schemas.stages.Prompts`.
        work: keeps the cells, by :func:`~core.cells.cell_name`.
        memory: folder in which checksums of weights are remembered.
        cache: the replies of all runs, or None.

    Raises:
        InputError: weights or chat template are missing, or a prompt is too long.
    """
    decisive = [
        versions.GENERATION,
        {key: value for key, value in model.items() if key != "weights"},
        weights_identity(model, vllm_engine.local_weights(model), memory),
        prompts_sha256(prompts["prompt_id"]),
    ]
    keys = {cell_name(*cell): work_key(*decisive, *cell) for cell in cells}
    seconds = JobSeconds()
    missing = set(work.missing(keys))
    print(f"{len(cells) - len(missing)} of {len(cells)} cells are finished", file=sys.stderr)
    if not missing:
        vllm_engine.do_without_engine(model)
        return
    to_make = [cell for cell in cells if cell_name(*cell) in missing]
    for cell, responses, manifest in generate_cells(model, to_make, prompts, "model", cache):
        name = cell_name(*cell)
        manifest |= {"job_started": round(seconds.started, 3), "job_seconds": seconds.lap()}
        work.keep(name, keys[name], responses, manifest)
        print(f"Finished: {name}", file=sys.stderr)
