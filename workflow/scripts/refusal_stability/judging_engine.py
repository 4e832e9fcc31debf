"""What judges with weights of their own share: one batch through vLLM in this process."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from refusal_stability import engine
from refusal_stability.labels import ERROR

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase
    from vllm import RequestOutput, SamplingParams

Read = Callable[["RequestOutput"], dict[str, Any]]


def ask_engine(
    judge: dict[str, Any],
    encode: Callable[["PreTrainedTokenizerBase"], list[list[int]]],
    prepare: Callable[["PreTrainedTokenizerBase"], "tuple[SamplingParams, Read]"],
    answer_tokens: int,
    chat: bool = True,
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Ask the engine for an answer to each request; see :mod:`refusal_stability.judging`.

    Args:
        judge: its settings.
        encode: makes the requests, token ids each.
        prepare: makes the sampling, once vLLM is imported, and what reads an output.
        answer_tokens: room that a request must leave; a longer one is an ERROR.
        chat: whether the requests need a chat template.

    Raises:
        InputError: the judge's weights or chat template are missing.
    """
    engine.prepare_imports()
    folder = engine.local_weights(judge)
    tokenizer = engine.load_tokenizer(judge, folder, chat)
    requests = encode(tokenizer)
    room = judge["max_model_len"] - answer_tokens
    short = [ids for ids in requests if len(ids) <= room]
    llm = engine.load_engine(judge, folder)
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
    return answers, engine.engine_manifest(llm, tokenizer, folder) | took
