"""Anthropic's models, through the Messages API."""

from typing import TYPE_CHECKING, Any

from refusal_stability.budget import UNLIMITED, Budget, NoCallError, refused
from refusal_stability.providers import (
    ANSWER_SCHEMA,
    Answer,
    client_settings,
    failed,
    look_up,
    sdk_name,
)
from refusal_stability.rate_limit import RateLimit

if TYPE_CHECKING:
    from anthropic.types import Message

_ENDINGS = {"end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length"}


class Anthropic:
    """A model behind the Messages API."""

    def __init__(self, judge: dict[str, Any], limit: RateLimit, budget: Budget = UNLIMITED) -> None:
        """Raises ProviderError if the key's environment variable is not set."""
        import anthropic

        self._sdk, self._judge = anthropic, judge
        self.sdk = sdk_name(anthropic)
        self._client = anthropic.Anthropic(**client_settings(judge, limit, budget, anthropic))
        self._request: dict[str, Any] = {
            "model": judge["model"],
            "max_tokens": judge["max_tokens"],
        }
        # The SDK has no name for it any more; models of its time still take it.
        self._unnamed: dict[str, Any] = {}
        if judge["temperature"] is not None:
            self._unnamed["temperature"] = judge["temperature"]
        if judge["answer"] == "constrained":
            format_ = {"type": "json_schema", "schema": ANSWER_SCHEMA}
            self._request["output_config"] = {"format": format_}

    def ask(self, message: str) -> Answer:
        """See :class:`~refusal_stability.providers.Provider`."""
        try:
            reply = self._client.messages.create(
                **self._body(message), extra_body=self._unnamed or None
            )
        except NoCallError as error:
            raise refused(self._judge, error) from None
        except self._sdk.AnthropicError as error:
            raise failed(self._judge, self._sdk, error) from error
        return self._answer(reply)

    def _body(self, message: str) -> dict[str, Any]:
        return {"messages": [{"role": "user", "content": message}], **self._request}

    def _answer(self, reply: "Message") -> Answer:
        return Answer(
            text="".join(block.text for block in reply.content if block.type == "text"),
            # "refusal" is Anthropic's word too.
            ending=_ENDINGS.get(reply.stop_reason, str(reply.stop_reason)),
            model=reply.model,
            input_tokens=reply.usage.input_tokens,
            output_tokens=reply.usage.output_tokens,
        )

    def look_up(self) -> None:
        """See :func:`~refusal_stability.providers.look_up`."""
        name = self._judge["model"]
        hello = [{"role": "user", "content": "Say hello."}]

        def ask_for_one_token() -> None:
            try:
                self._client.messages.create(model=name, max_tokens=1, messages=hello)
            except NoCallError as error:
                raise refused(self._judge, error) from None
            except self._sdk.AnthropicError as error:
                raise failed(self._judge, self._sdk, error) from error

        look_up(
            self._judge, self._sdk, lambda: self._client.models.retrieve(name), ask_for_one_token
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
