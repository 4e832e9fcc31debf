"""Generation: the replies of one model to every prompt, at each temperature and seed."""

import sys
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from refusal_stability.cache.keys import request_key
from refusal_stability.cache.results import ResultCache
from refusal_stability.core import versions
from refusal_stability.core.cells import request_seed
from refusal_stability.core.hashing import prompts_sha256
from refusal_stability.engine import facts, vllm_engine
from refusal_stability.engine.determinism import mode_of
from refusal_stability.engine.reasoning import opens_reasoning, split_reasoning, text_with_tags
from refusal_stability.generation.cell import Cell, CellReplies
from refusal_stability.generation.requests import _requests

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase
    from vllm import RequestOutput, SamplingParams

# Of a request that is not sent.
_NO_REPLY = {"text": "", "response_tokens": 0, "dtype": None}


def generate_cell(
    model: dict[str, Any],
    temperature: float,
    seed: int,
    prompts: pl.DataFrame,
    cache: ResultCache | None = None,
) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Generate one cell, with an engine of its own; see :func:`generate_cells`.

    Returns:
        A table that keeps the contract :class:`~schemas.stages.Responses`, in the
        order of the prompts, and the cell's manifest.
    """
    ((_, responses, manifest),) = generate_cells(
        model, [(temperature, seed)], prompts, "cell", cache
    )
    return responses, manifest


def generate_cells(
    model: dict[str, Any],
    cells: Sequence[Cell],
    prompts: pl.DataFrame,
    sharing: str,
    cache: ResultCache | None = None,
) -> Iterator[tuple[Cell, pl.DataFrame, dict[str, Any]]]:
    """Generate cells with one engine, in which the requests of all of them are batched.

    Args:
        model: an entry of the configuration's `models`, defaults filled in.
        cells: (temperature, seed) each; temperature 0 is greedy decoding, and from a cell's seed
            each request's own is derived.
        prompts: keeps the contract :class:`~schemas.stages.Prompts`.
        sharing: who shares the engine: a "model" or a "cell".
        cache: replies that are there are not generated again, and others are put there. Where
            none is to be generated, no engine is started.

    Yields:
        Each cell as soon as it is done: itself, its table, and its manifest, in which the seconds
        are those since the cell before was done.

    Raises:
        InputError: weights or chat template are missing, or no prompt can be asked. One that cannot
            while others can has no reply, and says why in its finish_reason.
    """
    vllm_engine.prepare_imports(model)
    folder = vllm_engine.local_weights(model)
    tokenizer = vllm_engine.load_tokenizer(model, folder)
    prompt_ids = prompts["prompt_id"].to_list()
    requests, unasked = _requests(model, tokenizer, prompts)
    opened = opens_reasoning(
        tokenizer, next(ids for row, ids in enumerate(requests) if row not in unasked)
    )

    def finished(
        made: CellReplies, dtype: str, runner: str | None, seconds: float
    ) -> tuple[Cell, pl.DataFrame, dict]:
        temperature, seed = made.cell
        rows = [
            {
                "prompt_id": prompt_id,
                "temperature": temperature,
                "seed": seed,
                **read_reply(reply, model["thinking"], opened),
                "prompt_tokens": len(ids) or None,
            }
            for prompt_id, ids, reply in zip(prompt_ids, requests, made.in_order(), strict=True)
        ]
        manifest = {
            "version": versions.GENERATION,
            "model": model,
            "temperature": temperature,
            "seed": seed,
            **facts.engine_manifest(dtype, tokenizer, folder, mode_of(model), runner),
            "sharing": sharing,
            "prompts_sha256": prompts_sha256(prompts["prompt_id"]),
            "count": len(rows),
            "asked": len(made.outputs),
            "from_cache": len(rows) - len(made.outputs) - len(unasked),
            "not_asked": len(unasked),
            **vllm_engine.amounts(made.outputs, seconds),
        }
        return made.cell, pl.DataFrame(rows, infer_schema_length=None), manifest

    shelves = cache.replies(model, folder, tokenizer, cells) if cache else [None] * len(cells)
    waiting = []
    for cell, shelf in zip(cells, shelves, strict=True):
        seeds = (request_seed(cell[1], prompt_id, model["seed_scope"]) for prompt_id in prompt_ids)
        keys = list(map(request_key, requests, seeds))
        given = {keys[row]: _NO_REPLY | {"finish_reason": why} for row, why in unasked.items()}
        made = CellReplies(cell, keys, shelf, given)
        if made.missing:
            waiting.append(made)
        else:
            dtype = next(reply["dtype"] for reply in made.in_order() if reply["dtype"])
            yield finished(made, dtype, None, 0)
    places = [(made, row) for made in waiting for row in made.missing]
    if cache:
        count = len(cells) * (len(requests) - len(unasked))
        print(f"{count - len(places)} of {count} replies are in the cache", file=sys.stderr)
    if not places:
        vllm_engine.do_without_engine(model)
        return
    llm = vllm_engine.load_engine(model, folder)
    dtype, runner = facts.dtype_of(llm), facts.runner_of(llm)
    to_ask = ((requests[row], _sampling(model, made.cell, prompt_ids[row])) for made, row in places)
    since = time.monotonic()
    for number, output in vllm_engine.stream(llm, to_ask, len(places)):
        made, row = places[number]
        made.arrived(row, output, cached_reply(tokenizer, output, dtype))
        if made.is_whole():
            now = time.monotonic()
            yield finished(made, dtype, runner, now - since)
            since = now
            made.forget()
    vllm_engine.end_engine(llm)


def _sampling(model: dict[str, Any], cell: Cell, prompt_id: str) -> "SamplingParams":
    from vllm import SamplingParams

    temperature, seed = cell
    return SamplingParams(
        temperature=temperature,
        top_p=model["top_p"],
        top_k=model["top_k"],
        max_tokens=model["max_tokens"],
        seed=request_seed(seed, prompt_id, model["seed_scope"]),
    )


def cached_reply(
    tokenizer: "PreTrainedTokenizerBase", output: "RequestOutput", dtype: str
) -> dict[str, Any]:
    """Return what is kept of an output: a reply in the cache, less its request."""
    reply = output.outputs[0]
    return {
        "text": text_with_tags(tokenizer, reply),
        "finish_reason": reply.finish_reason,
        "response_tokens": len(reply.token_ids),
        "dtype": dtype,
    }


def read_reply(reply: dict[str, Any], thinking: bool, opened: bool) -> dict[str, Any]:
    """Return what a response's row has of a kept reply; see :func:`split_reasoning`."""
    reasoning, response = split_reasoning(reply["text"], thinking, opened)
    kept = {name: reply[name] for name in ("finish_reason", "response_tokens")}
    return {"response": response, "reasoning": reasoning, **kept}
