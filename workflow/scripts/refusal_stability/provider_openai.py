"""Any OpenAI-compatible endpoint: OpenAI's own, or a server such as vLLM's."""

from typing import TYPE_CHECKING, Any

from refusal_stability.budget import UNLIMITED, Budget, NoCallError, refused
from refusal_stability.providers import (
    ANSWER_SCHEMA,
    Answer,
    FailedRequestError,
    client_settings,
    failed,
    is_filtered,
    look_up,
    sdk_name,
)
from refusal_stability.rate_limit import RateLimit

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletion

_RESPONSE_FORMAT = {
    "type": "json_schema",
    "json_schema": {"name": "verdict", "strict": True, "schema": ANSWER_SCHEMA},
}


class ChatCompletions:
    """A model behind the Chat Completions API, whoever asks it: a judge, or the workflow itself."""

    def __init__(self, entry: dict[str, Any], limit: RateLimit, budget: Budget = UNLIMITED) -> None:
        """Raises ProviderError if the key's environment variable is not set."""
        import openai

        self._sdk, self._entry = openai, entry
        self.sdk = sdk_name(openai)
        self._client = openai.OpenAI(**client_settings(entry, limit, budget, openai))
        # OpenAI's reasoning models know only the new name, many other servers only the old one.
        self._max_tokens = "max_tokens" if "base_url" in entry else "max_completion_tokens"

    def complete(
        self, messages: list[dict[str, str]], max_tokens: int, **request: Any
    ) -> "ChatCompletion | None":
        """Return the completion of a chat, or None if the provider's filter refused it.

        Raises:
            ProviderError: no message would get an answer.
            FailedRequestError: this one got none.
            BudgetError: it may not be sent.
        """
        body = self._body(messages, max_tokens) | request
        try:
            completion = self._client.chat.completions.create(**body)
        except NoCallError as error:
            raise refused(self._entry, error) from None
        except self._sdk.OpenAIError as error:
            if is_filtered(getattr(error, "body", None)):
                return None
            raise failed(self._entry, self._sdk, error) from error
        if not completion.choices:
            raise FailedRequestError("the answer is empty")
        return completion

    def look_up(self) -> None:
        """See :func:`~refusal_stability.providers.look_up`."""
        hello = [{"role": "user", "content": "Say hello."}]
        look_up(
            self._entry,
            self._sdk,
            lambda: self._client.models.retrieve(self._entry["model"]),
            lambda: self.complete(hello, max_tokens=1),
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _body(self, messages: list[dict[str, str]], max_tokens: int) -> dict[str, Any]:
        return {
            "model": self._entry["model"],
            "messages": messages,
            self._max_tokens: max_tokens,
        }


class OpenAI(ChatCompletions):
    """A judge behind the Chat Completions API."""

    def __init__(self, judge: dict[str, Any], limit: RateLimit, budget: Budget = UNLIMITED) -> None:
        """Raises ProviderError if the key's environment variable is not set."""
        super().__init__(judge, limit, budget)
        self._request: dict[str, Any] = {}
        if judge["temperature"] is not None:
            self._request["temperature"] = judge["temperature"]
        if judge["answer"] == "constrained":
            self._request["response_format"] = _RESPONSE_FORMAT

    def ask(self, message: str) -> Answer:
        """See :class:`~refusal_stability.providers.Provider`."""
        asked = self._asked(message)
        return self._answer(self.complete(*asked, **self._request))

    def _asked(self, message: str) -> tuple[list[dict[str, str]], int]:
        return [{"role": "user", "content": message}], self._entry["max_tokens"]

    def _answer(self, completion: "ChatCompletion | None") -> Answer:
        if completion is None:
            return Answer("", "refusal", self._entry["model"], 0, 0)
        choice, usage = completion.choices[0], completion.usage
        refused = choice.message.refusal or choice.finish_reason == "content_filter"
        return Answer(
            text=choice.message.content or "",
            ending="refusal" if refused else choice.finish_reason,
            model=completion.model,
            input_tokens=usage.prompt_tokens if usage else 0,
            output_tokens=usage.completion_tokens if usage else 0,
        )
