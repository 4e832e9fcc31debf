"""The replies of one cell as they come: those that the cache has, then the engine's."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from refusal_stability.cache.results import CacheView
from refusal_stability.engine.vllm_engine import is_answered

if TYPE_CHECKING:
    from vllm import RequestOutput

# Its temperature and its seed.
Cell = tuple[float, int]


class CellReplies:
    """What is known of a cell's replies; ``missing`` has the numbers of what is to be asked."""

    def __init__(
        self,
        cell: Cell,
        requests: list[str],
        shelf: CacheView | None,
        given: Mapping[str, dict[str, Any]] | None = None,
    ) -> None:
        """Look what the cache has.

        Args:
            cell: temperature and seed.
            requests: the key of each request, in the order of the prompts.
            shelf: the cell's replies in the cache, if there is one.
            given: by request, what stands for the reply of those that are not asked.
        """
        self.cell = cell
        self.outputs: list[RequestOutput] = []
        self._requests, self._shelf = requests, shelf
        self._known = {**(shelf.get(requests) if shelf else {}), **(given or {})}
        self._new: dict[str, dict[str, Any]] = {}
        self.missing = [row for row, key in enumerate(requests) if key not in self._known]

    def arrived(self, row: int, output: "RequestOutput", reply: dict[str, Any]) -> None:
        """Take a reply of the engine; with the last one, all are put into the cache."""
        self.outputs.append(output)
        self._new[self._requests[row]] = reply
        if self.is_whole() and self._shelf:
            answered = {k: v for k, v in self._new.items() if is_answered(v["finish_reason"])}
            self._shelf.add(answered)

    def is_whole(self) -> bool:
        """Tell whether every reply is there."""
        return len(self.outputs) == len(self.missing)

    def in_order(self) -> list[dict[str, Any]]:
        """Return the replies in the order of the prompts."""
        replies = self._known | self._new
        return [replies[request] for request in self._requests]

    def forget(self) -> None:
        """Give the replies' memory back: others of the model are still to come."""
        self.outputs, self._known, self._new = [], {}, {}
