"""What judges with weights of their own share: batches through one vLLM in this process."""

import functools
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from refusal_stability import engine
from refusal_stability.labels import ERROR

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase
    from vllm import LLM, RequestOutput, SamplingParams

Read = Callable[["RequestOutput"], dict[str, Any]]


def ask_engine(
    judge: dict[str, Any],
    encode: Callable[["PreTrainedTokenizerBase"], list[list[int]]],
    prepare: Callable[["PreTrainedTokenizerBase"], "tuple[SamplingParams, Read]"],
    answer_tokens: int,
    chat: bool = True,
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Ask the engine for an answer to each request; see :mod:`refusal_stability.judging`.

    The judge's engine is started once, however often it is asked, until :func:`end_engine`.

    Args:
        judge: its settings.
        encode: makes the requests, token ids each.
        prepare: makes the sampling, once vLLM is imported, and what reads an output.
        answer_tokens: room that a request must leave; a longer one is an ERROR.
        chat: whether the requests need a chat template.

    Raises:
        InputError: the judge's weights or chat template are missing.
    """
    settings = json.dumps(judge)
    tokenizer = _tokenizer(settings, chat)
    requests = encode(tokenizer)
    room = judge["max_model_len"] - answer_tokens
    short = [ids for ids in requests if len(ids) <= room]
    llm = _engine(settings)
    sampling, read = prepare(tokenizer)
    completed, took = engine.complete(llm, short, sampling)
    outputs = iter(completed)
    answers = [
        read(next(outputs))
        if len(ids) <= room
        else {
            "label": ERROR,
            "reason": f"{len(ids)} tokens to judge, max_model_len leaves {room}",
        }
        for ids in requests
    ]
    return answers, engine.engine_manifest(llm, tokenizer, engine.local_weights(judge)) | took


def end_engine(judge: dict[str, Any]) -> None:
    """End a judge's engine, if it was started."""
    if _engine.cache_info().currsize:
        engine.end_engine(_engine(json.dumps(judge)))
        _engine.cache_clear()


@functools.cache
def _tokenizer(settings: str, chat: bool) -> "PreTrainedTokenizerBase":
    engine.prepare_imports()
    judge = json.loads(settings)
    return engine.load_tokenizer(judge, engine.local_weights(judge), chat)


@functools.cache
def _engine(settings: str) -> "LLM":
    judge = json.loads(settings)
    return engine.load_engine(judge, engine.local_weights(judge))
