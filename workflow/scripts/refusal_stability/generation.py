"""Generation: the replies of one model to every prompt, at one temperature and seed."""

from typing import Any

import polars as pl

from refusal_stability import engine, versions
from refusal_stability.cells import request_seed
from refusal_stability.errors import InputError
from refusal_stability.prompts import prompts_sha256

END_OF_REASONING = "</think>"


def generate_cell(
    model: dict[str, Any], temperature: float, seed: int, prompts: pl.DataFrame
) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Generate one cell.

    Args:
        model: an entry of the configuration's `models`, defaults filled in.
        temperature: sampling temperature; 0 is greedy decoding.
        seed: the cell's seed, from which each request's own is derived.
        prompts: keeps the contract :class:`~refusal_stability.contracts.Prompts`.

    Returns:
        A table that keeps the contract :class:`~refusal_stability.contracts.Responses`, in the
        order of the prompts, and the cell's manifest.

    Raises:
        InputError: weights or chat template are missing, or a prompt is too long.
    """
    engine.prepare_imports()
    folder = engine.local_weights(model)
    tokenizer = engine.load_tokenizer(model, folder)
    requests = [
        engine.chat_token_ids(tokenizer, chat_messages(model, prompt), model["thinking"])
        for prompt in prompts["prompt"]
    ]
    _refuse_long_prompts(model, prompts["prompt_id"], requests)
    llm = engine.load_engine(model, folder)
    from vllm import SamplingParams

    sampling = [
        SamplingParams(
            temperature=temperature,
            top_p=model["top_p"],
            top_k=model["top_k"],
            max_tokens=model["max_tokens"],
            seed=request_seed(seed, prompt_id, model["seed_scope"]),
        )
        for prompt_id in prompts["prompt_id"]
    ]
    outputs = engine.complete(llm, requests, sampling)
    rows = []
    for prompt_id, output in zip(prompts["prompt_id"], outputs, strict=True):
        reply = output.outputs[0]
        reasoning, response = split_reasoning(reply.text, model["thinking"])
        rows.append(
            {
                "prompt_id": prompt_id,
                "temperature": temperature,
                "seed": seed,
                "response": response,
                "reasoning": reasoning,
                "finish_reason": reply.finish_reason,
                "prompt_tokens": len(output.prompt_token_ids),
                "response_tokens": len(reply.token_ids),
            }
        )
    manifest = {
        "version": versions.GENERATION,
        "model": model,
        "temperature": temperature,
        "seed": seed,
        **engine.engine_manifest(llm, tokenizer, folder),
        "prompts_sha256": prompts_sha256(prompts),
        "count": len(rows),
    }
    return pl.DataFrame(rows, infer_schema_length=None), manifest


def split_reasoning(text: str, thinking: bool) -> tuple[str | None, str]:
    """Split a reply into (reasoning, response); without thinking, the reasoning is None.

    A reply that ends before its reasoning does has no response: it is all reasoning.
    """
    if not thinking:
        return None, text
    reasoning, end, response = text.partition(END_OF_REASONING)
    if not end:
        return text.removeprefix("<think>").strip(), ""
    return reasoning.removeprefix("<think>").strip(), response.strip()


def chat_messages(model: dict[str, Any], prompt: str) -> list[dict[str, str]]:
    """Return the messages that ask for a reply to one prompt."""
    messages = [{"role": "user", "content": prompt}]
    if "system_prompt" in model:
        messages.insert(0, {"role": "system", "content": model["system_prompt"]})
    return messages


def _refuse_long_prompts(
    model: dict[str, Any], prompt_ids: pl.Series, requests: list[list[int]]
) -> None:
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
