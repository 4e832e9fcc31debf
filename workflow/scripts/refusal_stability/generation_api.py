"""Generation by a model behind an OpenAI-compatible API: nothing is paid for twice."""

from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from refusal_stability import versions
from refusal_stability.answer_store import AnswerStore, answer_key
from refusal_stability.api_settings import endpoint, takes_no_temperature
from refusal_stability.asking import ask_all
from refusal_stability.budget import UNLIMITED, Budget
from refusal_stability.cells import request_seed
from refusal_stability.generation import chat_messages, split_reasoning
from refusal_stability.prompts import prompts_sha256
from refusal_stability.provider_openai import ChatCompletions
from refusal_stability.providers import FailedRequestError, first_request_failed
from refusal_stability.rate_limit import RateLimit

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletion

# Settings that decide a reply, beside its sampling; the others are about its delivery.
_DECISIVE = ("model", "system_prompt", "max_tokens", "send_seed")
# What the contract knows; any other word of a provider is an error.
_ENDINGS = ("stop", "length", "content_filter")
_REPLY = ("response", "reasoning", "finish_reason", "prompt_tokens", "response_tokens")
_NO_REPLY = {"response": "", "response_tokens": 0}


def generate_cell(
    model: dict[str, Any],
    temperature: float,
    seed: int,
    prompts: pl.DataFrame,
    cache: Path,
    budget: Budget = UNLIMITED,
) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Generate one cell; see :func:`refusal_stability.generation.generate_cell`.

    A reply is in ``cache`` as soon as it arrived, and is taken from there ever after. A request
    that failed after all retries has the finish_reason "error", is in no cache, and is sent again
    when the cell is made again.

    Raises:
        ProviderError: the key, the model or a setting is refused, or nothing answers.
        BudgetError: there are fewer calls left than it takes.
    """
    store = AnswerStore(cache, lambda entry: all(name in entry for name in _REPLY))
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
        store.add(key, _read(completion, model.get("thinking", False)))

    failures: dict[str, str] = {}
    limit = RateLimit(model.get("requests_per_minute"))
    with closing(ChatCompletions(model, limit, budget)) as api:
        if missing:
            _try_out(model, api, next(iter(missing.values()))[1])
            failures = ask_all(model, missing, ask)
    replies = [store.get(key) or _NO_REPLY | {"finish_reason": "error"} for key in keys]
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
        "prompts_sha256": prompts_sha256(prompts),
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


def _read(completion: "ChatCompletion | None", thinking: bool) -> dict[str, Any]:
    """Return what is kept of a completion; None is one that the provider's filter refused."""
    if completion is None:
        return dict.fromkeys(_REPLY) | _NO_REPLY | _ending("content_filter")
    choice, usage = completion.choices[0], completion.usage
    response = _text(choice.message.content or choice.message.refusal)
    shown = choice.message.model_extra or {}
    # The first is vLLM's and OpenRouter's name, the second that of DeepSeek and older servers.
    reasoning = shown.get("reasoning") or shown.get("reasoning_content")
    if reasoning:
        reasoning, response = _text(reasoning).strip(), response.strip()
    else:
        # What the server's template opened is not seen here. A reply that was cut off without any
        # tag may be reasoning, and counts as that where it was asked for.
        opened = thinking and choice.finish_reason == "length"
        reasoning, response = split_reasoning(response, thinking, opened)
        if reasoning is None and _reasoned_in_secret(usage):
            reasoning = ""
    return {
        "response": response,
        "reasoning": reasoning,
        # Some gateways count nothing and say 0; no prompt has 0 tokens.
        "prompt_tokens": getattr(usage, "prompt_tokens", None) or None,
        "response_tokens": getattr(usage, "completion_tokens", None),
        "model": completion.model,
        "system_fingerprint": completion.system_fingerprint,
        **_ending(choice.finish_reason),
    }


def _ending(word: str | None) -> dict[str, Any]:
    return {"finish_reason": word if word in _ENDINGS else "error", "ending": str(word)}


def _reasoned_in_secret(usage: Any) -> bool:
    """Tell whether tokens were spent on a reasoning that the provider does not show."""
    details = getattr(usage, "completion_tokens_details", None)
    return bool(getattr(details, "reasoning_tokens", None))


def _text(text: str | None) -> str:
    """Return a text as files take it. Raises FailedRequestError for anything else."""
    if not isinstance(text, str | None):
        # Parts in a list, as some providers send that know more than text.
        raise FailedRequestError("the reply is no plain text")
    # JSON may hold half of a surrogate pair, which is no text and which no file takes.
    return (text or "").encode("utf-8", "replace").decode("utf-8")


def _counts(replies: list[dict[str, Any]], name: str) -> dict[str, int]:
    return dict(Counter(reply[name] for reply in replies if reply.get(name)))
