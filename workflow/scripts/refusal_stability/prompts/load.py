"""Prompts: read from their sources, checked, made distinct, sampled and given an id each."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from refusal_stability.core import versions
from refusal_stability.core.errors import InputError
from refusal_stability.core.hashing import prompts_sha256, sha256_text
from refusal_stability.prompts import demo_corpus
from refusal_stability.prompts.datasets import open_dataset
from refusal_stability.prompts.files import read_prompt_file
from refusal_stability.prompts.sources import NAMED, DatasetSource
from refusal_stability.schemas.stages import Prompts
from refusal_stability.settings.prompts import DEMO_CORPUS, entries, recipe


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
        number of duplicates dropped, a checksum over ids in their order, the prompts of each
        source, and which commit of the hub it is from.

    Raises:
        InputError: a source cannot be read, lacks a column or has an empty prompt.
    """
    commits: dict[str, str] = {}
    chosen: list[list[Row]] = []
    duplicates = 0
    for key, entry in entries(settings):
        rows, dropped = _chosen(_rows(key, entry, commits), entry)
        if not rows:
            raise InputError(f"{key}: there are no prompts. Hint: check the source")
        chosen.append(rows)
        duplicates += dropped
    # One source has had its limit; several have one of their own and one in all.
    limit = settings.get("limit") if "sources" in settings else None
    rows, dropped = _distinct(chain.from_iterable(chosen), limit)
    table = _table(rows)
    manifest = {
        "version": versions.PROMPTS,
        "settings": recipe(settings),
        "count": table.height,
        "duplicates_dropped": duplicates + dropped,
        "sha256": prompts_sha256(table["prompt_id"]),
        "sources": dict(Counter(table["source"])),
        "dataset_commits": commits,
    }
    return table, manifest


def _prompt_id(row: Row) -> str:
    return sha256_text(row.prompt)[:12]


def _table(rows: list[Row]) -> pl.DataFrame:
    return pl.DataFrame(
        [{"prompt_id": _prompt_id(row), **row._asdict()} for row in rows],
        schema=dict.fromkeys(("prompt_id", *Row._fields), pl.String),
    ).select(Prompts.column_names())


def _distinct(rows: Iterable[Row], limit: int | None) -> tuple[list[Row], int]:
    """The first ``limit`` distinct rows, and how many duplicates there were on the way."""
    first: dict[str, Row] = {}
    duplicates = 0
    for row in rows:
        prompt_id = _prompt_id(row)
        known = first.get(prompt_id)
        if known is None:
            if limit is not None and len(first) == limit:
                break
            first[prompt_id] = row
        elif known.prompt == row.prompt:
            duplicates += 1
        else:
            raise InputError(
                f"{row.where}: its prompt_id {prompt_id} is also that of {known.where}, "
                "whose text differs. Hint: change one of the two texts by a character"
            )
    return list(first.values()), duplicates


def _chosen(rows: Iterable[Row], entry: dict[str, Any]) -> tuple[list[Row], int]:
    """The distinct rows of a source that are asked, in its order, and the duplicates dropped."""
    limit = entry.get("limit")
    if "per_category" not in entry:
        return _distinct(rows, limit)
    distinct, duplicates = _distinct(rows, None)
    sampled = _sample(distinct, entry["per_category"], entry.get("sample_seed", 0))
    return sampled[:limit], duplicates


def _sample(rows: list[Row], per_category: int, seed: int) -> list[Row]:
    """At most so many rows of each category, in their order; no category is one of its own.

    The rows with the lowest hashes of (seed, prompt) are taken: each subset is as likely as
    another, the same on every machine, and a row that is added displaces at most one.
    """
    categories: defaultdict[str | None, list[Row]] = defaultdict(list)
    for row in rows:
        categories[row.category].append(row)
    taken = {
        row.prompt
        for members in categories.values()
        for row in sorted(members, key=lambda row: sha256_text(f"{seed}\n{row.prompt}"))[
            :per_category
        ]
    }
    return [row for row in rows if row.prompt in taken]


def _rows(key: str, entry: dict[str, Any], commits: dict[str, str]) -> Iterator[Row]:
    """The rows of one entry; notes in ``commits`` what came from the hub."""
    match entry["source"]:
        case "demo":
            yield from _demo()
        case "file":
            path = Path(entry["path"])
            for where, prompt, category in read_prompt_file(path):
                yield Row(where, prompt, path.stem, category)
        case _:
            for name, source in _dataset_sources(entry).items():
                dataset = open_dataset(key, source, entry.get("path"), entry.get("revision"))
                if dataset.commit:
                    commits[name] = f"{source.id}@{dataset.commit}"
                for where, prompt, category in dataset.rows:
                    yield Row(where, prompt, name, category)


def _demo() -> Iterator[Row]:
    corpus = demo_corpus.load_corpus(DEMO_CORPUS)
    for number, item in enumerate(demo_corpus.heldout_prompts(corpus), start=1):
        # The tier is the source, so that tables and figures can tell the tiers apart.
        yield Row(f"demo prompt {number}", item["prompt"], f"demo-{item['tier']}", item["category"])


def _dataset_sources(entry: dict[str, Any]) -> dict[str, DatasetSource]:
    """{source in prompts.parquet: where it is and what its columns mean}."""
    if entry["source"] != "dataset":
        return NAMED[entry["source"]]
    given = [entry[key] for key in ("config", "split") if key in entry]
    dataset_id = entry.get("id") or Path(entry["path"]).name
    return {
        "/".join([dataset_id, *given]): DatasetSource(
            dataset_id,
            config=entry.get("config"),
            split=entry.get("split", "train"),
            prompt=entry.get("prompt_column", "prompt"),
            category=entry.get("category_column"),
        )
    }
