"""What a model is sent for a prompt."""

import sys
from typing import TYPE_CHECKING, Any

import polars as pl

from refusal_stability.core.errors import InputError
from refusal_stability.engine import chat

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


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
            ids = chat.chat_token_ids(tokenizer, chat_messages(model, prompt), model["thinking"])
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
