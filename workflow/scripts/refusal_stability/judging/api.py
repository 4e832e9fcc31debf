"""The judge behind an API: asked side by side, never twice for the same verdict."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from refusal_stability.api.anthropic import Anthropic, BatchAnthropic
from refusal_stability.api.batch_log import BatchLog
from refusal_stability.api.batches import ask_in_batches
from refusal_stability.api.budget import UNLIMITED, Budget
from refusal_stability.api.client import (
    Answer,
    FailedRequestError,
    Provider,
    first_request_failed,
)
from refusal_stability.api.concurrency import send_all
from refusal_stability.api.openai import BatchOpenAI, OpenAI
from refusal_stability.api.rate_limit import RateLimit
from refusal_stability.core.errors import ProviderError
from refusal_stability.core.labels import ERROR
from refusal_stability.judging.rubric import judge_message
from refusal_stability.judging.verdict_store import VerdictStore, verdict_key
from refusal_stability.settings.api import endpoint

if TYPE_CHECKING:
    from refusal_stability.judging.rounds import Round

_PROVIDERS = {"openai": OpenAI, "anthropic": Anthropic}
_BATCH_PROVIDERS = {"openai": BatchOpenAI, "anthropic": BatchAnthropic}
# Settings that decide an answer, beside what is read; the others are about its delivery.
_DECISIVE = ("kind", "model", "temperature", "answer", "max_tokens")
# What the models' own vocabularies delimit turns with; which one a provider uses is not known.
_SPECIAL_TOKEN = re.compile(
    r"<\|[^<>|\s]{1,40}\|>|</?s>|\[/?INST\]|<</?SYS>>|<(?:start|end)_of_turn>|</?think>"
)


def judge_pairs(
    judge: dict[str, Any],
    rubric: str,
    pairs: pl.DataFrame,
    cache: Path,
    budget: Budget = UNLIMITED,
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Label each pair by an API's answer; see :mod:`judging.judge`.

    An answer is in ``cache`` as soon as it arrived, and is read from there ever after. Only
    failures after all retries, which cost nothing, are asked again in the next run.

    Raises:
        ProviderError: the key, the model or a setting is refused, or nothing answers.
        BudgetError: there are fewer calls left than it takes.
    """
    limit = RateLimit(judge.get("requests_per_minute"))
    store = VerdictStore(cache, judge["max_tokens"])
    settings = {"endpoint": endpoint(judge)} | {key: judge[key] for key in _DECISIVE}
    keys, missing = [], {}
    for prompt, response in pairs.select("prompt", "response").iter_rows():
        message = _message(rubric, prompt, response)
        keys.append(verdict_key(settings, message))
        if not store.get(keys[-1]):
            missing[keys[-1]] = message

    def keep(key: str, answer: Answer) -> None:
        if store.get(key) is None:
            store.keep(key, answer)

    log = BatchLog(cache.with_suffix(".batches"))
    under_way = set().union(*(batch.keys for batch in log.wanted(endpoint(judge), missing)))
    if under_way and not judge["batch"]:
        raise ProviderError(
            f"{judge['name']}: {len(under_way)} requests are under way in a batch at "
            f"{endpoint(judge)}. Hint: set batch: true to wait for it; to pay for them again, "
            f"delete {log.path}"
        )
    failures: dict[str, str] = {}
    kind = (_BATCH_PROVIDERS if judge["batch"] else _PROVIDERS)[judge["kind"]]
    with closing(kind(judge, limit, budget)) as provider:

        def try_out() -> None:
            _try_out(judge, provider, judge_message(rubric, "Say hello.", "Hello."))

        if judge["batch"]:
            failures = ask_in_batches(judge, provider, missing, keep, log, try_out, budget)
        elif missing:
            try_out()
            failures = send_all(judge, missing, lambda key: keep(key, provider.ask(missing[key])))
    entries = [store.get(key) or {"label": ERROR, "reason": failures[key]} for key in keys]
    facts = {
        "engine": provider.sdk,
        "endpoint": endpoint(judge),
        "answered_by": dict(Counter(entry["model"] for entry in entries if "model" in entry)),
        "asked": len(missing),
        "taken_from_an_earlier_attempt": len(keys) - len(missing),
        "failed": len(failures),
        "input_tokens": sum(entry.get("input_tokens") or 0 for entry in entries),
        "output_tokens": sum(entry.get("output_tokens") or 0 for entry in entries),
    }
    return [{"label": entry["label"], "reason": entry["reason"]} for entry in entries], facts


def ask_repeatedly(
    judge: dict[str, Any],
    rubric: str,
    texts: pl.DataFrame,
    rounds: Sequence["Round"],
    cache: Path,
    budget: Budget = UNLIMITED,
) -> Iterator[list[dict[str, Any]]]:
    """Yield the answers about all texts, in their order, of each round.

    Each answer is asked for and kept by its round: what an interrupted attempt has paid for is not
    paid for again, and no other round takes it. Batches are requests at the same time, at most
    `max_concurrency`; those of the provider are not used.

    Args:
        judge: its settings.
        rubric: its instructions.
        texts: columns prompt and response.
        rounds: see :class:`judging.rounds.Round`.
        cache: where answers are kept.
        budget: what the run may send.

    Raises:
        ProviderError: the key, the model or a setting is refused, or nothing answers.
        BudgetError: there are fewer calls left than it takes.
    """
    limit = RateLimit(judge.get("requests_per_minute"))
    store = VerdictStore(cache, judge["max_tokens"])
    messages = [_message(rubric, *row) for row in texts.select("prompt", "response").iter_rows()]
    tried = False
    for one in rounds:
        own = judge if one.temperature is None else judge | {"temperature": one.temperature}
        settings = {"endpoint": endpoint(own)} | {key: own[key] for key in _DECISIVE}
        round_of = {"condition": one.condition, "repeat": one.repeat}
        keys = [verdict_key(settings | round_of, message) for message in messages]
        failures: dict[str, str] = {}
        with closing(_PROVIDERS[own["kind"]](own, limit, budget)) as provider:
            for batch in one.batches:
                missing = {keys[place]: messages[place] for place in batch}
                missing = {key: text for key, text in missing.items() if not store.get(key)}
                if missing and not tried:
                    _try_out(own, provider, judge_message(rubric, "Say hello.", "Hello."))
                    tried = True

                def ask(key: str, missing: dict = missing, provider: Provider = provider) -> None:
                    store.keep(key, provider.ask(missing[key]))

                if missing:
                    failures |= send_all(own, missing, ask)
        entries = [store.get(key) or {"label": ERROR, "reason": failures[key]} for key in keys]
        yield [{"label": entry["label"], "reason": entry["reason"]} for entry in entries]


def _message(rubric: str, prompt: str, response: str) -> str:
    tokens = set(_SPECIAL_TOKEN.findall(f"{prompt}\n{response}"))
    return judge_message(rubric, prompt, response, tokens)


def _try_out(judge: dict[str, Any], provider: Provider, message: str) -> None:
    """Ask about a harmless reply first: what is wrong with the settings costs nothing more."""
    try:
        answer = provider.ask(message)
    except FailedRequestError as error:
        raise first_request_failed(
            judge,
            error,
            "it may be a model that takes no temperature (write temperature: null), no "
            "structured output (answer: free_text) or no such max_tokens; else look at base_url",
        ) from error
    if answer.ending == "length":
        raise ProviderError(
            f"{judge['name']}: {judge['model']} needs more than {judge['max_tokens']} tokens for "
            "an answer. Hint: raise max_tokens, which reasoning spends as well, or try "
            "answer: free_text"
        )
