"""Any OpenAI-compatible endpoint: OpenAI's own, or a server such as vLLM's."""

from typing import Any

from refusal_stability.providers import (
    ANSWER_SCHEMA,
    Answer,
    client_settings,
    failed,
    is_filtered,
    sdk_name,
)
from refusal_stability.rate_limit import RateLimit

_RESPONSE_FORMAT = {
    "type": "json_schema",
    "json_schema": {"name": "verdict", "strict": True, "schema": ANSWER_SCHEMA},
}


class OpenAI:
    """A model behind the Chat Completions API."""

    def __init__(self, judge: dict[str, Any], limit: RateLimit) -> None:
        """Raises ProviderError if the key's environment variable is not set."""
        import openai

        self._sdk, self._judge = openai, judge
        self.sdk = sdk_name(openai)
        self._client = openai.OpenAI(**client_settings(judge, limit, openai))
        self._request: dict[str, Any] = {"model": judge["model"]}
        # OpenAI's reasoning models know only the new name, many other servers only the old one.
        name = "max_tokens" if "base_url" in judge else "max_completion_tokens"
        self._request[name] = judge["max_tokens"]
        if judge["temperature"] is not None:
            self._request["temperature"] = judge["temperature"]
        if judge["answer"] == "constrained":
            self._request["response_format"] = _RESPONSE_FORMAT

    def ask(self, message: str) -> Answer:
        """See :class:`~refusal_stability.providers.Provider`."""
        try:
            completion = self._client.chat.completions.create(
                messages=[{"role": "user", "content": message}], **self._request
            )
        except self._sdk.OpenAIError as error:
            if is_filtered(error):
                return Answer("", "refusal", self._judge["model"], 0, 0)
            raise failed(self._judge, self._sdk, error) from error
        choice, usage = completion.choices[0], completion.usage
        refused = choice.message.refusal or choice.finish_reason == "content_filter"
        return Answer(
            text=choice.message.content or "",
            ending="refusal" if refused else choice.finish_reason,
            model=completion.model,
            input_tokens=usage.prompt_tokens if usage else 0,
            output_tokens=usage.completion_tokens if usage else 0,
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
