"""Generation: the replies of one model to every prompt, at each temperature and seed."""

import sys
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from refusal_stability import engine, engine_facts, versions
from refusal_stability.cell_replies import Cell, CellReplies
from refusal_stability.cells import request_seed
from refusal_stability.determinism import mode_of
from refusal_stability.errors import InputError
from refusal_stability.prompts import prompts_sha256
from refusal_stability.result_cache import ResultCache
from refusal_stability.result_keys import request_key

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase
    from vllm import CompletionOutput, RequestOutput, SamplingParams

START_OF_REASONING, END_OF_REASONING = "<think>", "</think>"


def generate_cell(
    model: dict[str, Any],
    temperature: float,
    seed: int,
    prompts: pl.DataFrame,
    cache: ResultCache | None = None,
) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Generate one cell, with an engine of its own; see :func:`generate_cells`.

    Returns:
        A table that keeps the contract :class:`~refusal_stability.contracts.Responses`, in the
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
        prompts: keeps the contract :class:`~refusal_stability.contracts.Prompts`.
        sharing: who shares the engine: a "model" or a "cell".
        cache: replies that are there are not generated again, and others are put there. Where
            none is to be generated, no engine is started.

    Yields:
        Each cell as soon as it is done: itself, its table, and its manifest, in which the seconds
        are those since the cell before was done.

    Raises:
        InputError: weights or chat template are missing, or a prompt is too long.
    """
    engine.prepare_imports(model)
    folder = engine.local_weights(model)
    tokenizer = engine.load_tokenizer(model, folder)
    prompt_ids = prompts["prompt_id"].to_list()
    requests = requests_of(model, tokenizer, prompts)
    opened = opens_reasoning(tokenizer, requests[0])

    def finished(made: CellReplies, dtype: str, seconds: float) -> tuple[Cell, pl.DataFrame, dict]:
        temperature, seed = made.cell
        rows = [
            {
                "prompt_id": prompt_id,
                "temperature": temperature,
                "seed": seed,
                **read_reply(reply, model["thinking"], opened),
                "prompt_tokens": len(ids),
            }
            for prompt_id, ids, reply in zip(prompt_ids, requests, made.in_order(), strict=True)
        ]
        manifest = {
            "version": versions.GENERATION,
            "model": model,
            "temperature": temperature,
            "seed": seed,
            **engine_facts.engine_manifest(dtype, tokenizer, folder, mode_of(model)),
            "sharing": sharing,
            "prompts_sha256": prompts_sha256(prompts),
            "count": len(rows),
            "asked": len(made.outputs),
            "from_cache": len(rows) - len(made.outputs),
            **engine.amounts(made.outputs, seconds),
        }
        return made.cell, pl.DataFrame(rows, infer_schema_length=None), manifest

    shelves = cache.replies(model, folder, tokenizer, cells) if cache else [None] * len(cells)
    waiting = []
    for cell, shelf in zip(cells, shelves, strict=True):
        seeds = (request_seed(cell[1], prompt_id, model["seed_scope"]) for prompt_id in prompt_ids)
        made = CellReplies(cell, list(map(request_key, requests, seeds)), shelf)
        if made.missing:
            waiting.append(made)
        else:
            yield finished(made, made.in_order()[0]["dtype"], 0)
    places = [(made, row) for made in waiting for row in made.missing]
    if cache:
        count = len(cells) * len(requests)
        print(f"{count - len(places)} of {count} replies are in the cache", file=sys.stderr)
    if not places:
        engine.do_without_engine(model)
        return
    llm = engine.load_engine(model, folder)
    dtype = engine_facts.dtype_of(llm)
    to_ask = ((requests[row], _sampling(model, made.cell, prompt_ids[row])) for made, row in places)
    since = time.monotonic()
    for number, output in engine.stream(llm, to_ask, len(places)):
        made, row = places[number]
        made.arrived(row, output, kept_reply(tokenizer, output, dtype))
        if made.is_whole():
            now = time.monotonic()
            yield finished(made, dtype, now - since)
            since = now
            made.forget()
    engine.end_engine(llm)


def requests_of(
    model: dict[str, Any], tokenizer: "PreTrainedTokenizerBase", prompts: pl.DataFrame
) -> list[list[int]]:
    """Return the token ids with which each prompt is asked.

    Raises:
        InputError: a prompt is too long, or the chat template refuses the messages.
    """
    requests = [
        engine.chat_token_ids(tokenizer, chat_messages(model, prompt), model["thinking"])
        for prompt in prompts["prompt"]
    ]
    _refuse_long_prompts(model, prompts["prompt_id"], requests)
    return requests


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


def kept_reply(
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


def opens_reasoning(tokenizer: "PreTrainedTokenizerBase", request: list[int]) -> bool:
    """Tell whether a request, token ids, ends with the tag that opens the reasoning.

    DeepSeek-R1's chat template writes it, Qwen 3's leaves it to the model.
    """
    # A few tokens hold the tag and its line break, even spelt in letters.
    return tokenizer.decode(request[-16:]).rstrip().endswith(START_OF_REASONING)


def text_with_tags(tokenizer: "PreTrainedTokenizerBase", reply: "CompletionOutput") -> str:
    """Return a reply's text with the tags of its reasoning.

    vLLM leaves special tokens out of the text; in most tokenizers the tags are none, in some they
    are.
    """
    tags = {
        token_id: token.content
        for token_id, token in tokenizer.added_tokens_decoder.items()
        if token.special and token.content in (START_OF_REASONING, END_OF_REASONING)
    }
    if tags.keys().isdisjoint(reply.token_ids):
        return reply.text
    text, part = "", []
    for token_id in reply.token_ids:
        if token_id in tags:
            text += tokenizer.decode(part, skip_special_tokens=True) + tags[token_id]
            part = []
        else:
            part.append(token_id)
    return text + tokenizer.decode(part, skip_special_tokens=True)


def split_reasoning(text: str, thinking: bool, opened: bool) -> tuple[str | None, str]:
    """Split a reply into (reasoning, response); the reasoning of a reply without any is None.

    A reply that ends before its reasoning does has no response: it is all reasoning.

    Args:
        text: the reply, with the tags of its reasoning.
        thinking: whether reasoning was asked for. Where it was not, a reply is only split if it
            was opened as reasoning, which some models do whatever they are told.
        opened: whether the request ends with the tag that opens the reasoning.
    """
    opened = opened or text.lstrip().startswith(START_OF_REASONING)
    reasoning, end, response = text.partition(END_OF_REASONING)
    if not opened and not (thinking and end):
        return None, text
    reasoning = reasoning.lstrip().removeprefix(START_OF_REASONING).strip()
    return reasoning, response.strip()


def chat_messages(model: dict[str, Any], prompt: str) -> list[dict[str, str]]:
    """Return the messages that ask for a reply to one prompt."""
    messages = [{"role": "user", "content": prompt}]
    if "system_prompt" in model:
        messages.insert(0, {"role": "system", "content": model["system_prompt"]})
    return messages


def _refuse_long_prompts(
    model: dict[str, Any], prompt_ids: pl.Series, requests: list[list[int]]
) -> None:
    """Raise InputError if a request, token ids, leaves less than max_tokens for its reply."""
    # A prompt that leaves less than max_tokens would silently get shorter replies than others.
    room = model["max_model_len"] - model["max_tokens"]
    too_long = {
        prompt_id: len(ids)
        for prompt_id, ids in zip(prompt_ids, requests, strict=True)
        if len(ids) > room
    }
    if too_long:
        prompt_id, length = max(too_long.items(), key=lambda item: item[1])
        raise InputError(
            f"{model['name']}: {len(too_long)} prompt(s) are too long, the longest is prompt_id "
            f"{prompt_id} with {length} tokens; max_model_len {model['max_model_len']} less "
            f"max_tokens {model['max_tokens']} leaves {room}. Hint: raise max_model_len to "
            f"{length + model['max_tokens']} or remove the prompt"
        )
