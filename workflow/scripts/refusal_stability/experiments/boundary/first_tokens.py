"""How a model's replies may begin: the probabilities of their first tokens, prompt by prompt."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from refusal_stability.core import versions
from refusal_stability.core.hashing import prompts_sha256
from refusal_stability.engine import facts, vllm_engine
from refusal_stability.engine.determinism import mode_of
from refusal_stability.generation.requests import askable

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase
    from vllm import RequestOutput

# Tokens that are listed by name; those of the rest are counted together.
LISTED = 100
# Of a prompt, so many beginnings at most are followed by another token, each at least as likely.
BEGINNINGS, LIKELY = 8, 0.01
# The last tokens of a request tell how a token after them is written.
_TAIL = 4


def first_tokens(
    model: dict[str, Any], prompts: pl.DataFrame, tokens: int
) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Ask a model for the first tokens of its replies, and for how likely each is.

    Args:
        model: an entry of the configuration's `models` with weights.
        prompts: keeps the contract :class:`~schemas.stages.Prompts`.
        tokens: how many tokens from the start; every one beyond the first takes up to
            :data:`BEGINNINGS` passes a prompt more.

    Returns:
        A table that keeps the contract :class:`~schemas.stages.FirstTokens`, and its
        manifest.

    Raises:
        InputError: weights or chat template are missing, or no prompt can be asked. One that cannot
            while others can is left out.
    """
    vllm_engine.prepare_imports(model)
    folder = vllm_engine.local_weights(model)
    tokenizer = vllm_engine.load_tokenizer(model, folder)
    asked_for, requests = askable(model | {"max_tokens": tokens}, tokenizer, prompts)
    prompt_ids = asked_for["prompt_id"].to_list()
    from vllm import SamplingParams

    sampling = SamplingParams(
        temperature=0, max_tokens=1, logprobs=min(LISTED, len(tokenizer)), detokenize=False
    )
    llm = vllm_engine.load_engine(model, folder, **_options(model, folder))
    writer = _Writer(tokenizer)
    rows, asked, took = [], 0, {}
    waiting = [(number, (), 1.0) for number in range(len(requests))]
    for step in range(tokens):
        outputs, amounts = vllm_engine.complete(
            llm, [requests[number] + list(ids) for number, ids, _ in waiting], sampling
        )
        asked += len(outputs)
        took = {name: amount + took.get(name, 0) for name, amount in amounts.items()}
        found = [
            {"prompt": number, "reached": reached, "beginning": list(ids)} | _distribution(output)
            for (number, ids, reached), output in zip(waiting, outputs, strict=True)
        ]
        for row in found:
            row["texts"] = [
                writer.text(requests[row["prompt"]], [*row["beginning"], token])
                for token in row["tokens"]
            ]
        rows += found
        if step + 1 < tokens:
            waiting = _likely(found, writer, requests)
    vllm_engine.end_engine(llm)
    starts = [1 - row["rest"] for row in rows if not row["beginning"]]
    places: dict[int, int] = {}
    for row in rows:
        row["place"] = places[row["prompt"]] = places.get(row["prompt"], -1) + 1
        row["prompt_id"] = prompt_ids[row["prompt"]]
    manifest = {
        "version": versions.FIRST_TOKENS,
        "model": model,
        "tokens": tokens,
        **facts.engine_manifest(
            facts.dtype_of(llm),
            tokenizer,
            folder,
            mode_of(model),
            facts.runner_of(llm),
        ),
        "prompts_sha256": prompts_sha256(prompts["prompt_id"]),
        "count": len(prompt_ids),
        "asked": asked,
        # Of the first token, the mean over prompts.
        "listed_probability": round(sum(starts) / len(starts), 6),
        **took,
    }
    table = pl.DataFrame(rows, infer_schema_length=None).drop("prompt", "reached")
    return table.sort("prompt_id", "place"), manifest


def lend_node(model: dict[str, Any]) -> None:
    """Lend this node to a model's engine; see :func:`engine.vllm_engine.lend_node`."""
    vllm_engine.lend_node(model, **_options(model, vllm_engine.local_weights(model)))


def _options(model: dict[str, Any], folder: Path) -> dict[str, Any]:
    # Probabilities are those before temperature and cuts.
    listed = {"max_logprobs": LISTED, "logprobs_mode": "raw_logprobs"}
    return listed | vllm_engine.float32_head(model, folder)


def _distribution(output: "RequestOutput") -> dict[str, Any]:
    """Return the listed tokens, by falling probability, and the probability of the rest."""
    (listed,) = output.outputs[0].logprobs
    ranked = sorted(listed.items(), key=lambda item: -item[1].logprob)
    # A token that cannot be has no logarithm.
    ranked = [(token, entry.logprob) for token, entry in ranked if entry.logprob > -1e30]
    # Rounding may lift the sum above 1.
    rest = 1 - math.fsum(math.exp(logprob) for _, logprob in ranked)
    return {
        "tokens": [token for token, _ in ranked],
        "logprobs": [logprob for _, logprob in ranked],
        "rest": min(1.0, max(0.0, rest)),
    }


def _likely(
    rows: Sequence[dict[str, Any]], writer: "_Writer", requests: Sequence[list[int]]
) -> list[tuple[int, tuple[int, ...], float]]:
    """Return the likeliest beginnings of each prompt: its number, token ids and probability."""
    by_prompt: dict[int, list[tuple[int, tuple[int, ...], float]]] = {}
    for row in rows:
        written = writer.text(requests[row["prompt"]], row["beginning"])
        for token, text, logprob in zip(row["tokens"], row["texts"], row["logprobs"], strict=True):
            reached = row["reached"] * math.exp(logprob)
            # A token without text ends the reply; nothing follows it.
            if reached >= LIKELY and text != written:
                ids = (*row["beginning"], token)
                by_prompt.setdefault(row["prompt"], []).append((row["prompt"], ids, reached))
    return [
        beginning
        for beginnings in by_prompt.values()
        for beginning in sorted(beginnings, key=lambda item: -item[2])[:BEGINNINGS]
    ]


class _Writer:
    """Writes tokens as the engine would, which depends on what stands before them."""

    def __init__(self, tokenizer: "PreTrainedTokenizerBase") -> None:
        self._tokenizer = tokenizer
        self._known: dict[tuple[tuple[int, ...], tuple[int, ...]], str] = {}

    def text(self, request: list[int], ids: Sequence[int]) -> str:
        """Return the text of a reply's first tokens, without special ones."""
        key = (tuple(request[-_TAIL:]), tuple(ids))
        if key not in self._known:
            before, whole = (
                self._tokenizer.decode(part, skip_special_tokens=True)
                for part in (key[0], key[0] + key[1])
            )
            self._known[key] = whole[len(before) :]
        return self._known[key]
