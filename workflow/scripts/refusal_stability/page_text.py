"""Prompts and replies for the page of a run that is to hold them: packed, prompt by prompt."""

import base64
import gzip
import json
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import polars as pl

# What the texts of a page may take, so that it opens: bytes as they stand in the file.
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
        prompts: keeps the contract :class:`~refusal_stability.contracts.Prompts`.
        replies: (model, table), a table keeps the contract
            :class:`~refusal_stability.contracts.Responses`.
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
