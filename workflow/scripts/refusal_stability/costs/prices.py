"""The key `prices` of the configuration: what an hour of a GPU and a million tokens cost.

Only the user knows them: there is no default, and nothing is multiplied with a guess.
"""

from collections.abc import Iterator
from typing import Any

from refusal_stability.costs.amounts import EXACTLY_NOTHING, Amount

_MILLIONTH = Amount(1e-6)


def money(
    prices: dict[str, Any],
    entry: dict[str, Any],
    gpu_hours: Amount,
    input_tokens: Amount,
    output_tokens: Amount,
) -> Amount | None:
    """Return what a model's or judge's work costs, in ``prices["currency"]``.

    Args:
        prices: the key `prices`; may be empty.
        entry: settings of the model or judge.
        gpu_hours: those of its jobs.
        input_tokens: tokens that it reads.
        output_tokens: tokens that it writes.

    Returns:
        The amount; None where there is no price for it. Only GPUs and APIs have one: with prices
        given, work without either costs nothing.
    """
    if not prices:
        return None
    if "model" not in entry:
        if gpu_hours == EXACTLY_NOTHING:
            return EXACTLY_NOTHING
        return gpu_hours * Amount(prices["gpu_hour"]) if "gpu_hour" in prices else None
    if input_tokens == output_tokens == EXACTLY_NOTHING:
        return EXACTLY_NOTHING
    price = next((p for p in prices.get("tokens", []) if p["name"] == entry["name"]), None)
    if price is None:
        return None
    return (
        input_tokens * Amount(price["input_per_million"])
        + output_tokens * Amount(price["output_per_million"])
    ) * _MILLIONTH


def problems(config: dict[str, Any]) -> Iterator[str]:
    """Yield what no schema can say of the prices, one line each."""
    entries = [*config.get("models", []), *config.get("judges", [])]
    paid = [entry["name"] for entry in entries if "model" in entry]
    seen: dict[str, int] = {}
    for number, price in enumerate(config.get("prices", {}).get("tokens", [])):
        where = f"prices.tokens[{number}].name"
        if price["name"] not in paid:
            there_are = f"there are {', '.join(paid)}" if paid else "there is none: remove it"
            yield f"{where}: no model or judge '{price['name']}' behind an API. Hint: {there_are}"
        first = seen.setdefault(price["name"], number)
        if first != number:
            yield (
                f"{where}: '{price['name']}' is already priced in prices.tokens[{first}]. "
                "Hint: remove one of them"
            )
