"""What judges with weights of their own share: batches through one vLLM in this process."""

import functools
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from refusal_stability.cache.keys import request_key
from refusal_stability.cache.results import ResultCache
from refusal_stability.core.cells import request_seed
from refusal_stability.core.labels import ERROR
from refusal_stability.engine import facts as engine_facts
from refusal_stability.engine import vllm_engine
from refusal_stability.engine.determinism import mode_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase
    from vllm import LLM, RequestOutput, SamplingParams

    from refusal_stability.judging.rounds import Round

Read = Callable[["RequestOutput"], dict[str, Any]]


@dataclass(frozen=True)
class Requests:
    """How a judge is asked.

    Attributes:
        encode: makes the requests, token ids each.
        prepare: makes the sampling at a temperature, once vLLM is imported, and what reads an
            output of it.
        answer_tokens: room that a request must leave; a longer one is an ERROR.
        chat: whether the requests need a chat template.
    """

    encode: Callable[["PreTrainedTokenizerBase"], list[list[int]]]
    prepare: Callable[["PreTrainedTokenizerBase", float], "tuple[SamplingParams, Read]"]
    answer_tokens: int
    chat: bool = True


_NO_PROBABILITIES = dict.fromkeys(("p_refuse", "p_partial", "p_comply"))


def ask_engine(
    judge: dict[str, Any], how: Requests, cache: ResultCache | None
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Ask the engine for an answer to each request; see :mod:`judging.judge`.

    The judge's engine is started once, however often it is asked, until :func:`end_engine`.

    Args:
        judge: its settings.
        how: what it is asked.
        cache: verdicts that are there are not asked for again, and others are put there. Where
            none is to be asked for, no engine is started.

    Raises:
        InputError: the judge's weights or chat template are missing.
    """
    settings = json.dumps(judge)
    tokenizer = _tokenizer(settings, how.chat)
    requests = how.encode(tokenizer)
    room = judge["max_model_len"] - how.answer_tokens
    short = {request_key(ids): ids for ids in requests if len(ids) <= room}
    folder = vllm_engine.local_weights(judge)
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
        # What is wrong with the judge's vocabulary is said before its engine starts.
        sampling, read = how.prepare(tokenizer, 0)
        llm = _engine(settings)
        dtype, runner = engine_facts.dtype_of(llm), engine_facts.runner_of(llm)
        outputs, took = vllm_engine.complete(llm, list(missing.values()), sampling)
        kept = {}
        for name, output in zip(missing, outputs, strict=True):
            if output.outputs[0].finish_reason == "error":
                answers[name] = {"label": ERROR, "reason": "the engine refuses the request"}
            else:
                answers[name] = read(output)
            # What cannot be read would be the same again; what the engine failed to give need
            # not be.
            if vllm_engine.is_answered(output.outputs[0].finish_reason):
                kept[name] = _NO_PROBABILITIES | answers[name] | {"dtype": dtype}
        if shelf:
            shelf.add(kept)
    else:
        took = vllm_engine.amounts([], 0)
        dtype, runner = next((row["dtype"] for row in known.values()), None), None
    facts = {
        **engine_facts.engine_manifest(dtype, tokenizer, folder, mode_of(judge), runner),
        # Probabilities are of logits in this type.
        "head_dtype": "float32" if vllm_engine.float32_head(judge, folder) else dtype,
    }
    return [
        answers[request_key(ids)] if len(ids) <= room else _too_long(ids, room) for ids in requests
    ], facts | {"asked": len(missing), "from_cache": len(known)} | took


def ask_repeatedly(
    judge: dict[str, Any], how: Requests, rounds: Sequence["Round"]
) -> Iterator[list[dict[str, Any]]]:
    """Yield the answers to all requests, in their order, of each round; nothing is remembered.

    Args:
        judge: its settings.
        how: what it is asked.
        rounds: see :class:`judging.rounds.Round`.

    Raises:
        InputError: the judge's weights or chat template are missing.
    """
    settings = json.dumps(judge)
    tokenizer = _tokenizer(settings, how.chat)
    requests = how.encode(tokenizer)
    room = judge["max_model_len"] - how.answer_tokens
    llm = _engine(settings)
    for one in rounds:
        sampling, read = how.prepare(tokenizer, one.temperature or 0)
        # Else, what was computed of a text in an earlier round would be taken again.
        llm.reset_prefix_cache()
        answers = [_too_long(ids, room) for ids in requests]
        for batch in one.batches:
            places = [place for place in batch if len(requests[place]) <= room]
            asked = ((requests[place], _sampling(sampling, one, place)) for place in places)
            for number, output in vllm_engine.stream(llm, asked, len(places), progress=False):
                answers[places[number]] = read(output)
        print(f"{one.condition}, repeat {one.repeat}: {len(answers)} labels", file=sys.stderr)
        yield answers


def _sampling(sampling: "SamplingParams", one: "Round", place: int) -> "SamplingParams":
    own = sampling.clone()
    if one.temperature is not None:
        own.seed = request_seed(one.repeat, str(place), "prompt")
    return own


def _too_long(ids: list[int], room: int) -> dict[str, Any]:
    reason = f"{len(ids)} tokens to judge, max_model_len leaves {room}"
    return {"label": ERROR, "reason": reason}


def lend_node(judge: dict[str, Any]) -> None:
    """Lend this node to a judge's engine; see :func:`engine.vllm_engine.lend_node`."""
    vllm_engine.lend_node(
        judge, **vllm_engine.float32_head(judge, vllm_engine.local_weights(judge))
    )


def end_engine(judge: dict[str, Any]) -> None:
    """End a judge's engine, or its nodes' waiting for one that was never needed."""
    if _engine.cache_info().currsize:
        vllm_engine.end_engine(_engine(json.dumps(judge)))
        _engine.cache_clear()
    else:
        vllm_engine.do_without_engine(judge)


@functools.cache
def _tokenizer(settings: str, chat: bool) -> "PreTrainedTokenizerBase":
    judge = json.loads(settings)
    vllm_engine.prepare_imports(judge)
    return vllm_engine.load_tokenizer(judge, vllm_engine.local_weights(judge), chat)


@functools.cache
def _engine(settings: str) -> "LLM":
    judge = json.loads(settings)
    folder = vllm_engine.local_weights(judge)
    return vllm_engine.load_engine(judge, folder, **vllm_engine.float32_head(judge, folder))
