"""The same greedy requests again and again, under one way of running the engine."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from refusal_stability.core.errors import EngineError
from refusal_stability.core.hashing import sha256_text
from refusal_stability.engine import determinism, facts, reasoning, vllm_engine
from refusal_stability.generation import local, requests
from refusal_stability.schemas.stages import Passes, Responses
from refusal_stability.settings import models

if TYPE_CHECKING:
    from vllm import LLM

# An error under these is of the machine or the settings, and not of the way to run the engine.
_EVERYWHERE = (models.DEFAULT, models.ONE_AT_A_TIME)
# Requests of the self-test, and what may make a difference to them.
SELF_TEST_REQUESTS = 8
KINDS = ("repeated", "cached", "company")


class _Arm:
    """A model's tokenizer and requests, and its engine once it is needed."""

    def __init__(self, model: dict[str, Any], prompts: pl.DataFrame) -> None:
        vllm_engine.prepare_imports(model)
        determinism.check_variables(model)
        self.model = model
        self.folder = vllm_engine.local_weights(model)
        self.tokenizer = vllm_engine.load_tokenizer(model, self.folder)
        asked, self.requests = requests.askable(model, self.tokenizer, prompts)
        self.prompt_ids = asked["prompt_id"].to_list()

    def unavailable(self) -> str | None:
        from vllm.platforms import current_platform

        return determinism.unavailable(self.model, current_platform)

    def start(self) -> "LLM":
        return vllm_engine.load_engine(self.model, self.folder)

    def answers(self, llm: "LLM", numbers: Sequence[int]) -> list[Any]:
        """Return the outputs of requests, in the order given, which is the order of asking."""
        from vllm import SamplingParams

        asked = (
            (self.requests[number], SamplingParams(temperature=0, max_tokens=self.max_tokens))
            for number in numbers
        )
        outputs = dict(vllm_engine.stream(llm, asked, len(numbers)))
        return [outputs[place] for place in range(len(numbers))]

    @property
    def max_tokens(self) -> int:
        return self.model["max_tokens"]


def lend_node(model: dict[str, Any]) -> None:
    """Be one of several nodes, but the first, of an arm; if it is not available, be done."""
    vllm_engine.prepare_imports(model)
    from vllm.platforms import current_platform

    if determinism.unavailable(model, current_platform) is None:
        vllm_engine.lend_node(model)


def self_test(model: dict[str, Any], prompts: pl.DataFrame) -> dict[str, Any]:
    """Ask a few prompts together, and again under all that may make a difference.

    Args:
        model: an entry of the configuration's `models`, defaults filled in.
        prompts: keeps the contract :class:`~schemas.stages.Prompts`.

    Returns:
        Whether this way of running the engine is ``available`` here, and if not the ``reason``;
        how many ``requests`` were tried, and how many had another reply when they were merely
        repeated (``differ_repeated``), with their prompts still in the engine's cache
        (``differ_cached``), or alone and in the reverse order among all the others
        (``differ_company``); ``differ`` counts those of any kind. What was not tried is None: short
        prompts may not fill a block of the cache.

    Raises:
        InputError: the weights cannot be used.
    """
    arm = _Arm(model, prompts)
    reason, tried = arm.unavailable(), {}
    few = range(min(SELF_TEST_REQUESTS, len(arm.requests)))
    if reason is None:
        try:
            llm = arm.start()
            tried = _tried(arm, llm, few)
        except (RuntimeError, NotImplementedError, EngineError) as error:
            if determinism.mode_of(model) in _EVERYWHERE:
                raise
            # An operation that has no deterministic form here.
            reason = " ".join(str(error).split())[:300]
    found = {"available": reason is None, "reason": reason, "requests": len(few) if tried else 0}
    if tried:
        vllm_engine.end_engine(llm)
    return found | {
        "differ": sum(map(any, zip(*tried.values(), strict=True))),
        **{f"differ_{kind}": sum(tried[kind]) if kind in tried else None for kind in KINDS},
    }


def _tried(arm: _Arm, llm: "LLM", few: range) -> dict[str, list[bool]]:
    """Return which of a few requests have another reply, by kind."""

    def outputs(numbers: Sequence[int], keep_cache: bool = False) -> list[Any]:
        if not keep_cache:
            llm.reset_prefix_cache()
        return arm.answers(llm, numbers)

    first = outputs(few)

    def other(again: list[Any]) -> list[bool]:
        pairs = zip(first, again, strict=True)
        return [one.outputs[0].token_ids != two.outputs[0].token_ids for one, two in pairs]

    cached = outputs(few, keep_cache=True)
    tried = {"repeated": other(outputs(few))}
    if any(output.num_cached_tokens for output in cached):
        tried["cached"] = other(cached)
    alone = other([outputs([number])[0] for number in few])
    # Another place, and other company: these come last.
    among = other(outputs(range(len(arm.requests))[::-1])[::-1][: len(few)])
    tried["company"] = [a or b for a, b in zip(alone, among, strict=True)]
    return tried


def passes(
    model: dict[str, Any], prompts: pl.DataFrame, seeds: Sequence[int], available: bool
) -> tuple[dict[int, pl.DataFrame], pl.DataFrame, dict[str, Any]]:
    """Ask every prompt once a seed, at temperature 0, one pass after another, in one engine.

    The order of the requests is the same in every pass, as it is in the cells of a study.

    Args:
        model: an entry of the configuration's `models`, defaults filled in.
        prompts: keeps the contract :class:`~schemas.stages.Prompts`.
        seeds: names of the passes, in their order; greedy decoding does not use them.
        available: what the self-test said; if not, nothing is asked and the tables are empty.

    Returns:
        A table a seed that keeps the contract :class:`~schemas.stages.Responses`; one
        that keeps :class:`~schemas.stages.Passes`, of all of them; and a manifest.
    """
    if not available:
        nothing = Responses.create_empty()
        return dict.fromkeys(seeds, nothing), Passes.create_empty(), {"asked": 0}
    arm = _Arm(model, prompts)
    opened = reasoning.opens_reasoning(arm.tokenizer, arm.requests[0])
    llm = arm.start()
    dtype = facts.dtype_of(llm)
    first: list[tuple[list[int], str]] = []
    responses, rows = {}, []
    since = time.monotonic()
    for seed in seeds:
        table = []
        outputs = arm.answers(llm, range(len(arm.requests)))
        for place, (prompt_id, output) in enumerate(zip(arm.prompt_ids, outputs, strict=True)):
            kept = local.cached_reply(arm.tokenizer, output, dtype)
            reply = local.read_reply(kept, model["thinking"], opened)
            table.append(
                {
                    "prompt_id": prompt_id,
                    "temperature": 0.0,
                    "seed": seed,
                    **reply,
                    "prompt_tokens": len(arm.requests[place]),
                }
            )
            tokens = list(output.outputs[0].token_ids)
            if seed == seeds[0]:
                first.append((tokens, kept["text"]))
            rows.append(
                {
                    "prompt_id": prompt_id,
                    "seed": seed,
                    "response_sha256": sha256_text(kept["text"]),
                    "tokens": len(tokens),
                    "same_tokens": _shared(tokens, first[place][0]),
                    "same_characters": _shared(kept["text"], first[place][1]),
                }
            )
        responses[seed] = pl.DataFrame(table, schema=Responses.create_empty().schema)
    manifest = {
        "asked": len(rows),
        **facts.engine_manifest(
            dtype,
            arm.tokenizer,
            arm.folder,
            determinism.mode_of(model),
            facts.runner_of(llm),
        ),
        "engine_seconds": round(time.monotonic() - since, 3),
    }
    vllm_engine.end_engine(llm)
    return responses, pl.DataFrame(rows, schema=Passes.create_empty().schema), manifest


def _shared(a: Sequence, b: Sequence) -> int:
    """Return the length of the longest common beginning."""
    pairs = enumerate(zip(a, b, strict=False))
    return next((place for place, (x, y) in pairs if x != y), min(len(a), len(b)))
