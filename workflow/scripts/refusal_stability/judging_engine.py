"""What judges with weights of their own share: batches through one vLLM in this process."""

import functools
import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from refusal_stability import engine, engine_facts
from refusal_stability.determinism import mode_of
from refusal_stability.labels import ERROR
from refusal_stability.result_cache import ResultCache
from refusal_stability.result_keys import request_key

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase
    from vllm import LLM, RequestOutput, SamplingParams

Read = Callable[["RequestOutput"], dict[str, Any]]
_NO_PROBABILITIES = dict.fromkeys(("p_refuse", "p_partial", "p_comply"))


def ask_engine(
    judge: dict[str, Any],
    encode: Callable[["PreTrainedTokenizerBase"], list[list[int]]],
    prepare: Callable[["PreTrainedTokenizerBase"], "tuple[SamplingParams, Read]"],
    answer_tokens: int,
    cache: ResultCache | None,
    chat: bool = True,
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Ask the engine for an answer to each request; see :mod:`refusal_stability.judging`.

    The judge's engine is started once, however often it is asked, until :func:`end_engine`.

    Args:
        judge: its settings.
        encode: makes the requests, token ids each.
        prepare: makes the sampling, once vLLM is imported, and what reads an output.
        answer_tokens: room that a request must leave; a longer one is an ERROR.
        cache: verdicts that are there are not asked for again, and others are put there. Where
            none is to be asked for, no engine is started.
        chat: whether the requests need a chat template.

    Raises:
        InputError: the judge's weights or chat template are missing.
    """
    settings = json.dumps(judge)
    tokenizer = _tokenizer(settings, chat)
    requests = encode(tokenizer)
    room = judge["max_model_len"] - answer_tokens
    short = {request_key(ids): ids for ids in requests if len(ids) <= room}
    folder = engine.local_weights(judge)
    shelf = cache.verdicts(judge, folder, tokenizer) if cache else None
    known = shelf.get(short) if shelf else {}
    missing = {name: ids for name, ids in short.items() if name not in known}
    if shelf:
        print(f"{len(known)} of {len(short)} answers are in the cache", file=sys.stderr)
    answers = {
        name: {key: value for key, value in row.items() if key != "dtype"}
        for name, row in known.items()
    }
    if missing:
        llm = _engine(settings)
        dtype = engine_facts.dtype_of(llm)
        sampling, read = prepare(tokenizer)
        outputs, took = engine.complete(llm, list(missing.values()), sampling)
        kept = {}
        for name, output in zip(missing, outputs, strict=True):
            answers[name] = read(output)
            # What cannot be read would be the same again; what the engine failed to give need
            # not be.
            if engine.is_answered(output.outputs[0].finish_reason):
                kept[name] = _NO_PROBABILITIES | answers[name] | {"dtype": dtype}
        if shelf:
            shelf.add(kept)
    else:
        took = engine.amounts([], 0)
        dtype = next((row["dtype"] for row in known.values()), None)
    facts = engine_facts.engine_manifest(dtype, tokenizer, folder, mode_of(judge))
    return [
        answers[request_key(ids)]
        if len(ids) <= room
        else {
            "label": ERROR,
            "reason": f"{len(ids)} tokens to judge, max_model_len leaves {room}",
        }
        for ids in requests
    ], facts | {"asked": len(missing), "from_cache": len(known)} | took


def end_engine(judge: dict[str, Any]) -> None:
    """End a judge's engine, or its nodes' waiting for one that was never needed."""
    if _engine.cache_info().currsize:
        engine.end_engine(_engine(json.dumps(judge)))
        _engine.cache_clear()
    else:
        engine.do_without_engine(judge)


@functools.cache
def _tokenizer(settings: str, chat: bool) -> "PreTrainedTokenizerBase":
    judge = json.loads(settings)
    engine.prepare_imports(judge)
    return engine.load_tokenizer(judge, engine.local_weights(judge), chat)


@functools.cache
def _engine(settings: str) -> "LLM":
    judge = json.loads(settings)
    return engine.load_engine(judge, engine.local_weights(judge))
