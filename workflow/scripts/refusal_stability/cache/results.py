"""The cache that runs share, as jobs of generation and judging use it."""

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from refusal_stability.cache.keys import (
    engine_identity,
    reply_key,
    verdict_key,
    weights_identity,
)
from refusal_stability.cache.store import Store, reply_store, verdict_store
from refusal_stability.core.hashing import sha256_file
from refusal_stability.engine import facts
from refusal_stability.settings.judges import instructions_file

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class CacheView:
    """What the store has under one key."""

    store: Store
    key: str

    def get(self, requests: Collection[str]) -> dict[str, dict[str, Any]]:
        """Return {request: row} for those of ``requests`` that are known."""
        return self.store.get(self.key, requests)

    def add(self, rows: dict[str, dict[str, Any]]) -> None:
        """Keep {request: row}."""
        self.store.add(self.key, ({"request": name, **row} for name, row in rows.items()))


class ResultCache:
    """A folder of replies and verdicts, from any run and for any run."""

    def __init__(self, folder: Path, sharing: str) -> None:
        """Use ``folder``, which need not exist.

        Args:
            folder: what all runs share.
            sharing: what an engine of these jobs serves: a "cell" or a "model".
        """
        self._folder, self._sharing = folder, sharing
        self._known: dict[str, dict[str, Any]] = {}

    def replies(
        self,
        model: dict[str, Any],
        weights: Path,
        tokenizer: "PreTrainedTokenizerBase",
        cells: Iterable[tuple[float, int]],
    ) -> list[CacheView]:
        """Return the replies of each cell, (temperature, seed).

        Args:
            model: an entry of the configuration's `models`, defaults filled in.
            weights: the folder of its weights.
            tokenizer: its tokenizer.
            cells: temperature and seed each.
        """
        engine = self._engine(model, weights, tokenizer)
        store = reply_store(self._folder)
        return [CacheView(store, reply_key(model, *cell, engine)) for cell in cells]

    def verdicts(
        self, judge: dict[str, Any], weights: Path, tokenizer: "PreTrainedTokenizerBase"
    ) -> CacheView:
        """Return the verdicts of a judge with weights of its own; arguments as for replies."""
        followed = sha256_file(Path(instructions_file(judge)))
        engine = self._engine(judge, weights, tokenizer)
        return CacheView(verdict_store(self._folder), verdict_key(judge, followed, engine))

    def _engine(
        self, entry: dict[str, Any], weights: Path, tokenizer: "PreTrainedTokenizerBase"
    ) -> dict[str, Any]:
        # Once: an engine that has started since has set variables, which would make another key.
        settings = json.dumps(entry, sort_keys=True)
        if settings not in self._known:
            self._known[settings] = engine_identity(
                facts.deciding_facts(entry, weights),
                facts.template_sha256(tokenizer),
                weights_identity(entry, weights, self._folder / "checksums"),
                self._sharing,
            )
        return self._known[settings]
