"""Cells: how their numbers are written in paths, and how their seeds reach each request."""

import hashlib
import itertools
from collections.abc import Iterable
from pathlib import Path

# Of a cell's files, without what tells their kind.
CELL_NAME = "T{temperature}_seed{seed}"


def temperature_text(temperature: float | str) -> str:
    """Write a temperature as it stands in every path: 0 -> "0", 0.70 -> "0.7", 1.0 -> "1"."""
    # Adding 0 makes -0.0 positive.
    return f"{float(temperature) + 0.0:.15g}"


def cell_name(temperature: float | str, seed: int | str) -> str:
    """Return the name of a cell's files: 0.70, 42 -> "T0.7_seed42"."""
    return CELL_NAME.format(temperature=temperature_text(temperature), seed=seed)


def cell_files(folder: Path, temperatures: Iterable[float], seeds: Iterable[int]) -> list[Path]:
    """Return the replies of every cell of a model, whether they are there or not.

    Thousands of paths are more than a command line holds; a folder and a grid are few words.
    """
    grid = itertools.product(temperatures, seeds)
    return [folder / f"{cell_name(temperature, seed)}.parquet" for temperature, seed in grid]


def request_seed(seed: int, prompt_id: str, scope: str) -> int:
    """Return the sampling seed of one request, an integer in [0, 2**63).

    With ``scope="prompt"`` it is derived from (seed, prompt_id) by SHA-256, which makes the
    prompts of a cell independent draws. With ``scope="cell"`` every prompt gets the cell's
    own seed, as in arXiv 2512.12066, where the draws of all prompts then move together: vLLM's V1
    model runner draws the same numbers for each at every step.
    """
    if scope == "cell":
        return seed
    if scope != "prompt":
        raise ValueError(f"scope must be 'prompt' or 'cell', not {scope!r}")
    digest = hashlib.sha256(f"{seed}:{prompt_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
