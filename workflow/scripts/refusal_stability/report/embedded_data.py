"""Every verdict of a run as one byte, for the list of prompts in its page."""

import base64
import gzip
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from refusal_stability.core.labels import LABELS, VALID_LABELS

# Both bytes that are no label and no chance.
NOTHING = 255
# A chance is kept in steps of half a per cent.
CHANCE_STEPS = 200


@dataclass(frozen=True)
class PageLabels:
    """The verdicts of a run as bytes, all of one shape.

    Attributes:
        judges, models, prompt_ids, temperatures, seeds: what the axes stand for; temperatures
            and seeds ascend.
        labels: (judges, models, prompts, temperatures, seeds), an index into
            :data:`~core.labels.LABELS`, or :data:`NOTHING`.
        chances: the probability that the judge gives its label, in 200ths, or NOTHING; None where
            no judge tells any.
    """

    judges: list[str]
    models: list[str]
    prompt_ids: list[str]
    temperatures: list[float]
    seeds: list[int]
    labels: np.ndarray
    chances: np.ndarray | None


def page_labels(
    verdicts: Iterable[tuple[tuple[str, str], pl.DataFrame]], prompt_ids: list[str]
) -> PageLabels:
    """Return the verdicts of a run as bytes.

    Args:
        verdicts: ((judge, model), table), a table keeps the contract
            :class:`~schemas.stages.Verdicts`.
        prompt_ids: the order of the prompts; those without a verdict stay, without labels.
    """
    tables = {key: _codes(table, prompt_ids) for key, table in verdicts}
    judges = list(dict.fromkeys(judge for judge, _ in tables))
    models = list(dict.fromkeys(model for _, model in tables))
    temperatures = _values(tables.values(), "temperature")
    seeds = _values(tables.values(), "seed")
    shape = (len(judges), len(models), len(prompt_ids), len(temperatures), len(seeds))
    labels, chances = (np.full(shape, NOTHING, dtype=np.uint8) for _ in range(2))
    for (judge, model), table in tables.items():
        at = (
            judges.index(judge),
            models.index(model),
            table["prompt"].to_numpy(),
            np.searchsorted(temperatures, table["temperature"].to_numpy()),
            np.searchsorted(seeds, table["seed"].to_numpy()),
        )
        labels[at] = table["label"].to_numpy()
        chances[at] = table["chance"].to_numpy()
    told = (chances != NOTHING).any()
    return PageLabels(
        judges, models, prompt_ids, temperatures, seeds, labels, chances if told else None
    )


def _values(tables: Iterable[pl.DataFrame], column: str) -> list:
    return sorted(set().union(*(table[column].unique() for table in tables)))


def _codes(table: pl.DataFrame, prompt_ids: list[str]) -> pl.DataFrame:
    label = pl.col("label").cast(pl.String)
    given = pl.coalesce(
        pl.when(label == valid).then(pl.col(f"p_{valid.lower()}")) for valid in VALID_LABELS
    )
    return table.select(
        prompt=pl.col("prompt_id").cast(pl.Enum(prompt_ids)).to_physical().cast(pl.Int64),
        temperature=pl.col("temperature"),
        seed=pl.col("seed"),
        label=pl.col("label").cast(pl.Enum(LABELS)).to_physical(),
        chance=(given * CHANCE_STEPS).round().fill_null(NOTHING).cast(pl.UInt8),
    )


# What the texts of a page may take, so that it opens: in bytes of the file.
TEXT_BYTES = 24_000_000


_NONE = -1


def page_text(
    prompts: pl.DataFrame,
    replies: Iterable[tuple[str, pl.DataFrame]],
    models: Sequence[str],
    temperatures: Sequence[float],
    seeds: Sequence[int],
    order: Sequence[str],
    limit: int = TEXT_BYTES,
) -> list[str]:
    """Return a text a prompt, base64 of gzipped JSON, and "" from where the limit is reached.

    The JSON is {"prompt", "replies": distinct texts, "cells": places in them, model by model,
    temperature by temperature, -1 for none, "cut": places of replies that ended at max_tokens}.

    Args:
        prompts: keeps the contract :class:`~schemas.stages.Prompts`.
        replies: (model, table), a table keeps the contract
            :class:`~schemas.stages.Responses`.
        order: prompt ids, those first whose texts must not be missing.
    """
    shape = (len(models), len(temperatures), len(seeds))
    found: dict[str, dict[str, Any]] = {
        prompt_id: {"texts": {}, "cut": {}, "cells": np.full(shape, _NONE)}
        for prompt_id in prompts["prompt_id"]
    }
    at_temperature, at_seed = (
        {value: place for place, value in enumerate(values)} for values in (temperatures, seeds)
    )
    columns = ["prompt_id", "temperature", "seed", "response", "finish_reason"]
    for model, table in replies:
        for prompt_id, temperature, seed, text, reason in table.select(columns).iter_rows():
            if temperature not in at_temperature or seed not in at_seed:
                # No judge has labelled its cell.
                continue
            of = found[prompt_id]
            place = of["texts"].setdefault(text, len(of["texts"]))
            if reason == "length":
                of["cut"][place] = None
            of["cells"][models.index(model), at_temperature[temperature], at_seed[seed]] = place
    texts = dict(prompts.select("prompt_id", "prompt").iter_rows())
    packed = dict.fromkeys(texts, "")
    room = limit
    for prompt_id in order:
        of = found[prompt_id]
        content = {
            "prompt": texts[prompt_id],
            "replies": list(of["texts"]),
            "cells": of["cells"].ravel().tolist(),
            "cut": list(of["cut"]),
        }
        one = base64.b64encode(gzip.compress(json.dumps(content).encode(), mtime=0)).decode()
        room -= len(one)
        if room < 0:
            break
        packed[prompt_id] = one
    return list(packed.values())
