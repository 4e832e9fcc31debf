"""How the replies to a prompt begin: how likely at each temperature, and how a given one did."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

# A beginning: the texts of a reply up to its first token, up to its second ... None stands for a
# token that is not listed.
Path = tuple[str | None, ...]


@dataclass(frozen=True)
class _Node:
    """What may follow a beginning: (k,) tokens by falling probability, and the rest."""

    tokens: tuple[int, ...]
    texts: tuple[str, ...]
    logprobs: np.ndarray
    rest: float


class PrefixTree:
    """The tree of first tokens of the replies to one prompt."""

    def __init__(self, rows: pl.DataFrame) -> None:
        """``rows`` are one prompt's of the contract FirstTokens."""
        self._nodes = {
            tuple(row["beginning"]): _Node(
                tuple(row["tokens"]), tuple(row["texts"]), np.array(row["logprobs"]), row["rest"]
            )
            for row in rows.iter_rows(named=True)
        }

    def chances(self, temperature: float, top_p: float = 1.0, top_k: int = 0) -> dict[Path, float]:
        """Return how likely each beginning is at a temperature; they sum to 1."""
        found: dict[Path, float] = {}

        def follow(ids: tuple[int, ...], path: Path, reached: float) -> None:
            node = self._nodes[ids]
            each, rest = rescaled(node.logprobs, node.rest, temperature, top_p, top_k)
            for token, text, chance in zip(node.tokens, node.texts, each, strict=True):
                if chance == 0:
                    continue
                if (*ids, token) in self._nodes:
                    follow((*ids, token), (*path, text), reached * chance)
                else:
                    # Tokens that are written alike are one beginning.
                    found[*path, text] = found.get((*path, text), 0.0) + reached * chance
            if rest > 0:
                found[*path, None] = found.get((*path, None), 0.0) + reached * rest

        follow((), (), 1.0)
        return found

    def of_reply(self, reply: str) -> Path:
        """Return how a reply began, as far as the tree goes.

        Tokens are found again by their text, the longest that fits, as a tokenizer would mostly.
        """
        ids: tuple[int, ...] = ()
        path: Path = ()
        written = ""
        while ids in self._nodes:
            node = self._nodes[ids]
            # One without a text of its own ends the reply.
            fits = [
                (len(text), -place)
                for place, text in enumerate(node.texts)
                if (reply.startswith(text) if len(text) > len(written) else reply == text)
            ]
            if not fits:
                return (*path, None)
            place = -max(fits)[1]
            ids, written = (*ids, node.tokens[place]), node.texts[place]
            path = (*path, written)
        return path


def rescaled(
    logprobs: np.ndarray, rest: float, temperature: float, top_p: float = 1.0, top_k: int = 0
) -> tuple[np.ndarray, float]:
    """Return the probabilities, (k,), of listed tokens at a temperature, and that of the rest.

    p^(1/T), normalised; then the top_k likeliest, of these the fewest that hold top_p, as vLLM
    does it. The rest counts as tokens that are each as likely as the least likely listed one: that
    is exact at T = 1, and where the rest is small it does not matter.

    Args:
        logprobs: at temperature 1, falling, (k,).
        rest: probability of all other tokens at temperature 1.
        temperature: 0 is greedy decoding.
        top_p: 1 is off.
        top_k: 0 is off.
    """
    if temperature == 0:
        return np.arange(len(logprobs)) == 0, 0.0
    scaled = (logprobs - logprobs[0]) / temperature
    # In logarithms: the power may be beyond all numbers.
    others = np.log(rest) - logprobs[-1] + scaled[-1] if rest > 0 else -np.inf
    weights = np.exp(np.append(scaled, others))
    if 0 < top_k <= len(logprobs):
        weights[top_k:] = 0
    weights /= weights.sum()
    # What is likelier holds top_p already.
    weights[np.cumsum(weights) - weights >= top_p] = 0
    weights /= weights.sum()
    return weights[:-1], float(weights[-1])


class LabelByPrefix:
    """What beginnings say of the label, learned from replies, for each of several folds.

    A share of labels is smoothed towards that of the beginning one token shorter, and that of no
    token towards equal shares, as if one reply more had been seen of each (Dirichlet's prior).
    """

    def __init__(
        self, paths: Sequence[Path], labels: np.ndarray, fold: np.ndarray, folds: int
    ) -> None:
        """Learn from replies of a known beginning, those of other folds for each fold.

        Args:
            paths: how each reply began, (replies,).
            labels: 0, 1, 2 for the valid ones, (replies,).
            fold: each reply's, (replies,).
            folds: how many.
        """
        counts: dict[Path, np.ndarray] = {}
        for path, label, of in zip(paths, labels, fold, strict=True):
            for length in range(len(path) + 1):
                of_path = counts.setdefault(path[:length], np.zeros((folds, 3)))
                of_path[np.arange(folds) != of, label] += 1
        self._folds, self._counts = folds, counts
        self._known: dict[Path, np.ndarray] = {}

    def shares(self, path: Path) -> np.ndarray:
        """Return the chances of the labels after a beginning, (folds, 3)."""
        if path not in self._known:
            prior = self.shares(path[:-1]) if path else np.full((self._folds, 3), 1 / 3)
            counts = self._counts.get(path, 0.0) + prior
            self._known[path] = counts / counts.sum(axis=1, keepdims=True)
        return self._known[path]


def folds_of(shares: np.ndarray, folds: int, rng: np.random.Generator) -> np.ndarray:
    """Deal prompts into folds of equal size, each with as much of every label, (prompts,).

    With folds at random, one with many refusals would be forecast from prompts with few: forecasts
    would seem worse than chance where beginnings say nothing.

    Args:
        shares: of the labels among a prompt's replies, (prompts, 3); nan where there is none.
        folds: how many; some are empty if there are fewer prompts.
        rng: draws who of like prompts comes into which.
    """
    order = np.lexsort(shares.T)
    fold = np.empty(len(order), dtype=int)
    for start in range(0, len(order), folds):
        block = order[start : start + folds]
        fold[block] = rng.permutation(folds)[: len(block)]
    return fold
