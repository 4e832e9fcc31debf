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

# Of a request that is not sent.
_NO_REPLY = {"text": "", "response_tokens": 0, "dtype": None}
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
        InputError: weights or chat template are missing, or no prompt can be asked. One that cannot
            while others can has no reply, and says why in its finish_reason.
    """
    engine.prepare_imports(model)
    folder = engine.local_weights(model)
    tokenizer = engine.load_tokenizer(model, folder)
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
            **engine_facts.engine_manifest(dtype, tokenizer, folder, mode_of(model), runner),
            "sharing": sharing,
            "prompts_sha256": prompts_sha256(prompts),
            "count": len(rows),
            "asked": len(made.outputs),
            "from_cache": len(rows) - len(made.outputs) - len(unasked),
            "not_asked": len(unasked),
            **engine.amounts(made.outputs, seconds),
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
        engine.do_without_engine(model)
        return
    llm = engine.load_engine(model, folder)
    dtype, runner = engine_facts.dtype_of(llm), engine_facts.runner_of(llm)
    to_ask = ((requests[row], _sampling(model, made.cell, prompt_ids[row])) for made, row in places)
    since = time.monotonic()
    for number, output in engine.stream(llm, to_ask, len(places)):
        made, row = places[number]
        made.arrived(row, output, kept_reply(tokenizer, output, dtype))
        if made.is_whole():
            now = time.monotonic()
            yield finished(made, dtype, runner, now - since)
            since = now
            made.forget()
    engine.end_engine(llm)


def askable(
    model: dict[str, Any], tokenizer: "PreTrainedTokenizerBase", prompts: pl.DataFrame
) -> tuple[pl.DataFrame, list[list[int]]]:
    """Return the prompts that can be asked, and the token ids with which each of them is.

    The others, too long or refused by the chat template, are named on standard error.

    Raises:
        InputError: nothing can be asked.
    """
    requests, unasked = _requests(model, tokenizer, prompts)
    rows = [row for row in range(len(requests)) if row not in unasked]
    return prompts[rows], [requests[row] for row in rows]


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


def _requests(
    model: dict[str, Any], tokenizer: "PreTrainedTokenizerBase", prompts: pl.DataFrame
) -> tuple[list[list[int]], dict[int, str]]:
    """Return each prompt's request, token ids, and {row: finish_reason} of what is not asked.

    Raises:
        InputError: nothing can be asked.
    """
    requests: list[list[int]] = []
    problems: dict[int, InputError] = {}
    for row, prompt in enumerate(prompts["prompt"]):
        try:
            ids = engine.chat_token_ids(tokenizer, chat_messages(model, prompt), model["thinking"])
        except InputError as error:
            ids, problems[row] = [], error
        requests.append(ids)
    too_long = _too_long(model, requests)
    for rows, say in (
        (too_long, lambda: _long_prompts(model, prompts["prompt_id"], requests, too_long)),
        (list(problems), lambda: f"{model['name']}: {next(iter(problems.values()))}"),
    ):
        if len(rows) == len(requests):
            raise InputError(say())
        if rows:
            print(f"warning: {len(rows)} prompt(s) are ERROR. {say()}", file=sys.stderr)
    unasked = dict.fromkeys(too_long, "too_long") | dict.fromkeys(problems, "error")
    if len(unasked) == len(requests):
        raise InputError(f"{model['name']}: no prompt can be asked. Hint: see the warnings above")
    return requests, unasked


def _too_long(model: dict[str, Any], requests: list[list[int]]) -> list[int]:
    """The rows of requests that leave too little room."""
    # A prompt that leaves less than max_tokens would silently get shorter replies than others.
    room = model["max_model_len"] - model["max_tokens"]
    return [row for row, ids in enumerate(requests) if len(ids) > room]


def _long_prompts(
    model: dict[str, Any], prompt_ids: pl.Series, requests: list[list[int]], too_long: list[int]
) -> str:
    longest = max(too_long, key=lambda row: len(requests[row]))
    length, room = len(requests[longest]), model["max_model_len"] - model["max_tokens"]
    return (
        f"{model['name']}: {len(too_long)} prompt(s) are too long, the longest is prompt_id "
        f"{prompt_ids[longest]} with {length} tokens; max_model_len {model['max_model_len']} less "
        f"max_tokens {model['max_tokens']} leaves {room}. Hint: raise max_model_len to "
        f"{length + model['max_tokens']} or remove the prompt"
    )
