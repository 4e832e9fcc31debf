"""Generation by a model behind an OpenAI-compatible API: nothing is paid for twice."""

from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from refusal_stability.api.answer_store import AnswerStore, answer_key
from refusal_stability.api.budget import UNLIMITED, Budget
from refusal_stability.api.client import FailedRequestError, first_request_failed
from refusal_stability.api.concurrency import send_all
from refusal_stability.api.openai import ChatCompletions
from refusal_stability.api.rate_limit import RateLimit
from refusal_stability.core import versions
from refusal_stability.core.cells import request_seed
from refusal_stability.core.hashing import prompts_sha256
from refusal_stability.engine.reasoning import split_reasoning
from refusal_stability.generation.requests import chat_messages
from refusal_stability.settings.api import endpoint, takes_no_temperature

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletion

# Settings that decide a reply, beside its sampling; the others are about its delivery.
_DECISIVE = ("model", "system_prompt", "max_tokens", "send_seed")
# What the contract knows; any other word of a provider is an error.
_ENDINGS = ("stop", "length", "content_filter")
_REPLY = ("response", "reasoning", "finish_reason", "prompt_tokens", "response_tokens")
# In the first version, replies were stored as they were read. Raise this with versions.GENERATION
# as long as completions are read as they were then: such replies are dropped, and paid for again,
# once it is the lower of the two.
_REPLIES_HOLD_UNTIL = 2
_NO_REPLY = {"response": "", "response_tokens": 0}


def generate_cell(
    model: dict[str, Any],
    temperature: float,
    seed: int,
    prompts: pl.DataFrame,
    cache: Path,
    budget: Budget = UNLIMITED,
) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Generate one cell; see :func:`generation.local.generate_cell`.

    A completion is in ``cache`` as it arrived, and its reply is read from there ever after. A
    request that failed after all retries has the finish_reason "error", is in no cache, and is sent
    again when the cell is made again.

    Raises:
        ProviderError: the key, the model or a setting is refused, or nothing answers.
        BudgetError: there are fewer calls left than it takes.
    """
    store = AnswerStore(cache, _is_kept)
    sampling = _sampling(model, temperature)
    settings = {"endpoint": endpoint(model), "temperature": temperature, "seed": seed}
    settings |= {name: model.get(name) for name in _DECISIVE}
    keys, missing = [], {}
    for prompt_id, prompt in prompts.select("prompt_id", "prompt").iter_rows():
        request = dict(sampling)
        if model["send_seed"]:
            request["seed"] = request_seed(seed, prompt_id, model["seed_scope"])
        keys.append(answer_key(settings | request, prompt))
        if not store.get(keys[-1]):
            missing[keys[-1]] = (chat_messages(model, prompt), request)

    def ask(key: str) -> None:
        messages, request = missing[key]
        completion = api.complete(messages, model["max_tokens"], **request)
        store.add(key, _kept(completion))

    failures: dict[str, str] = {}
    limit = RateLimit(model.get("requests_per_minute"))
    with closing(ChatCompletions(model, limit, budget)) as api:
        if missing:
            _try_out(model, api, next(iter(missing.values()))[1])
            failures = send_all(model, missing, ask)
    replies = [_reply(store.get(key), model.get("thinking", False)) for key in keys]
    rows = [
        {"prompt_id": prompt_id, "temperature": temperature, "seed": seed}
        | {name: reply.get(name) for name in _REPLY}
        for prompt_id, reply in zip(prompts["prompt_id"], replies, strict=True)
    ]
    manifest = {
        "version": versions.GENERATION,
        "model": model,
        "temperature": temperature,
        "temperature_sent": "temperature" in sampling,
        "seed": seed,
        "seeds": "sent" if model["send_seed"] else "absent",
        "engine": api.sdk,
        "endpoint": endpoint(model),
        "answered_by": _counts(replies, "model"),
        "system_fingerprints": _counts(replies, "system_fingerprint"),
        "endings": _counts(replies, "ending"),
        "asked": len(missing),
        "taken_from_an_earlier_attempt": len(keys) - len(missing),
        "failed": dict(Counter(failures.values())),
        "input_tokens": _tokens(replies, "prompt_tokens"),
        "output_tokens": _tokens(replies, "response_tokens"),
        "prompts_sha256": prompts_sha256(prompts["prompt_id"]),
        "count": len(rows),
    }
    return pl.DataFrame(rows, infer_schema_length=None), manifest


def _sampling(model: dict[str, Any], temperature: float) -> dict[str, Any]:
    """Return what every request of a cell says of sampling."""
    sampling: dict[str, Any] = {}
    if not takes_no_temperature(model):
        sampling["temperature"] = temperature
    if model["top_p"] is not None:
        sampling["top_p"] = float(model["top_p"])
    if "thinking" in model:
        sampling["extra_body"] = {"chat_template_kwargs": {"enable_thinking": model["thinking"]}}
    return sampling


def _tokens(replies: list[dict[str, Any]], name: str) -> int | None:
    """The sum over what was answered; None where the provider does not count."""
    answered = (reply for reply in replies if reply["finish_reason"] in ("stop", "length"))
    tokens = [reply.get(name) for reply in answered]
    return None if None in tokens else sum(tokens)


def _try_out(model: dict[str, Any], api: ChatCompletions, request: dict[str, Any]) -> None:
    """Ask for something harmless first: what is wrong with the settings costs nothing more."""
    try:
        api.complete(chat_messages(model, "Say hello."), model["max_tokens"], **request)
    except FailedRequestError as error:
        raise first_request_failed(
            model,
            error,
            "it may be a model that takes no seed (write send_seed: false), no top_p (top_p: "
            "null), no such temperature or no such max_tokens; else look at base_url",
        ) from error


def _kept(completion: "ChatCompletion | None") -> dict[str, Any]:
    """Return what is kept of a completion, as it is; None is one that the filter refused."""
    if completion is None:
        nothing = dict.fromkeys(("content", "refusal", "shown_reasoning"), "")
        return nothing | {"ending": "content_filter", "response_tokens": 0}
    choice, usage = completion.choices[0], completion.usage
    shown = choice.message.model_extra or {}
    details = getattr(usage, "completion_tokens_details", None)
    content = _text(choice.message.content or "")
    return {
        "content": content,
        "refusal": "" if content else _text(choice.message.refusal),
        # The first is vLLM's and OpenRouter's name, the second that of DeepSeek and older servers.
        "shown_reasoning": _text(shown.get("reasoning") or shown.get("reasoning_content")),
        "ending": str(choice.finish_reason),
        "prompt_tokens": getattr(usage, "prompt_tokens", None),
        "response_tokens": getattr(usage, "completion_tokens", None),
        "reasoning_tokens": getattr(details, "reasoning_tokens", None),
        "model": completion.model,
        "system_fingerprint": completion.system_fingerprint,
    }


def _is_kept(entry: dict[str, Any]) -> bool:
    if "content" in entry:
        text = ("content", "refusal", "shown_reasoning", "ending")
        return all(isinstance(entry.get(name), str) for name in text)
    return versions.GENERATION <= _REPLIES_HOLD_UNTIL and all(name in entry for name in _REPLY)


def _reply(kept: dict[str, Any] | None, thinking: bool) -> dict[str, Any]:
    """Return what a response's row and the manifest have of a kept completion.

    None is a request that failed.
    """
    if kept is None:
        return _NO_REPLY | {"finish_reason": "error"}
    if "content" not in kept:
        return kept
    reasoning, response = kept["shown_reasoning"], kept["content"] or kept["refusal"]
    if reasoning:
        reasoning, response = reasoning.strip(), response.strip()
    else:
        # What the server's template opened is not seen here. A reply that was cut off without any
        # tag may be reasoning, and counts as that where it was asked for.
        opened = thinking and kept["ending"] == "length"
        reasoning, response = split_reasoning(response, thinking, opened)
        # Tokens were spent on a reasoning that the provider does not show.
        if reasoning is None and kept.get("reasoning_tokens"):
            reasoning = ""
    return {
        "response": response,
        "reasoning": reasoning,
        "finish_reason": kept["ending"] if kept["ending"] in _ENDINGS else "error",
        "ending": kept["ending"],
        # Some gateways count nothing and say 0; no prompt has 0 tokens.
        "prompt_tokens": kept.get("prompt_tokens") or None,
        "response_tokens": kept.get("response_tokens"),
        "model": kept.get("model"),
        "system_fingerprint": kept.get("system_fingerprint"),
    }


def _text(text: str | None) -> str:
    """Return a text as files take it. Raises FailedRequestError for anything else."""
    if not isinstance(text, str | None):
        # Parts in a list, as some providers send that know more than text.
        raise FailedRequestError("the reply is no plain text")
    # JSON may hold half of a surrogate pair, which is no text and which no file takes.
    return (text or "").encode("utf-8", "replace").decode("utf-8")


def _counts(replies: list[dict[str, Any]], name: str) -> dict[str, int]:
    return dict(Counter(reply[name] for reply in replies if reply.get(name)))
