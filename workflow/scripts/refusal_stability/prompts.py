"""Prompts: read from their source, checked, made distinct and given an id each."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from refusal_stability import demo_corpus, versions
from refusal_stability.contracts import Prompts
from refusal_stability.errors import InputError
from refusal_stability.files import sha256_text
from refusal_stability.prompt_files import read_prompt_file

BEAVERTAILS = "PKU-Alignment/BeaverTails"
BEAVERTAILS_SPLIT = "330k_train"
DEMO_CORPUS = Path("resources/demo/corpus.yaml")


class Row(NamedTuple):
    """A prompt as its source has it; ``where`` names its place for error messages."""

    where: str
    prompt: str
    source: str
    category: str | None


def load_prompts(settings: dict[str, Any]) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Return the prompts of a run and their manifest.

    Args:
        settings: the `prompts` key of the configuration.

    Returns:
        A table that keeps the contract :class:`Prompts`, and its manifest: settings, count,
        number of duplicates dropped, and a checksum over ids in their order.

    Raises:
        InputError: the source cannot be read, lacks a column or has an empty prompt.
    """
    readers = {"demo": _demo, "file": _file, "beavertails": _beavertails}
    rows = readers[settings["source"]](settings)
    table, duplicates = _distinct(rows, settings.get("limit"))
    manifest = {
        "version": versions.PROMPTS,
        "settings": settings,
        "count": table.height,
        "duplicates_dropped": duplicates,
        "sha256": prompts_sha256(table),
    }
    return table, manifest


def prompts_sha256(prompts: pl.DataFrame) -> str:
    """Return a checksum over the prompt ids in their order; an id is a hash of its text."""
    return sha256_text("\n".join(prompts["prompt_id"]))


def _distinct(rows: Iterable[Row], limit: int | None) -> tuple[pl.DataFrame, int]:
    first: dict[str, dict[str, str | None]] = {}
    duplicates = 0
    for row in rows:
        prompt_id = sha256_text(row.prompt)[:12]
        known = first.get(prompt_id)
        if known is None:
            if limit is not None and len(first) == limit:
                break
            first[prompt_id] = {"prompt_id": prompt_id, **row._asdict()}
        elif known["prompt"] == row.prompt:
            duplicates += 1
        else:
            raise InputError(
                f"{row.where}: its prompt_id {prompt_id} is also that of {known['where']}, "
                "whose text differs. Hint: change one of the two texts by a character"
            )
    table = pl.DataFrame(list(first.values()), schema=dict.fromkeys(_COLUMNS, pl.String))
    return table.select(Prompts.column_names()), duplicates


_COLUMNS = ("prompt_id", "where", "prompt", "source", "category")


def _demo(_: dict[str, Any]) -> Iterator[Row]:
    corpus = demo_corpus.load_corpus(DEMO_CORPUS)
    for number, item in enumerate(demo_corpus.heldout_prompts(corpus), start=1):
        # The tier is the source, so that tables and figures can tell the tiers apart.
        yield Row(f"demo prompt {number}", item["prompt"], f"demo-{item['tier']}", item["category"])


def _file(settings: dict[str, Any]) -> Iterator[Row]:
    path = Path(settings["path"])
    for where, prompt, category in read_prompt_file(path):
        yield Row(where, prompt, path.stem, category)


def _beavertails(settings: dict[str, Any]) -> Iterator[Row]:
    """The prompts answered unsafely, as in arXiv 2512.12066; the first true category is kept."""
    import datasets

    dataset_id = settings.get("path", BEAVERTAILS)
    try:
        dataset = datasets.load_dataset(
            dataset_id, split=BEAVERTAILS_SPLIT, revision=settings.get("revision")
        )
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"prompts: the dataset {dataset_id} cannot be loaded ({reason}). Hint: this needs "
            "the network once; or give prompts.path, a local copy"
        ) from error
    missing = {"prompt", "category", "is_safe"} - set(dataset.column_names)
    if missing:
        raise InputError(
            f"prompts: the dataset {dataset_id} lacks {', '.join(sorted(missing))}. "
            "Hint: give prompts.path, a copy of BeaverTails"
        )
    for number, row in enumerate(dataset.filter(lambda row: not row["is_safe"])):
        category = next((name for name, holds in row["category"].items() if holds), None)
        yield Row(f"{dataset_id}, unsafe row {number}", row["prompt"], "beavertails", category)
