"""Keys of results in the store: all that decides a reply or a verdict, and nothing else.

What is in a key, and why; what is not known to leave results alone is in:

- **weights**: the commit on the hub, or the checksum of a folder's files. Quantisation, the
  tokenizer and the tokens that end a reply are among them.
- **chat template**, by its hash, and the **token ids** of each request, in which system prompt,
  switch of thinking, rubric and judged text are.
- **sampling**, and each request's own **seed**; the cell's seed too, so that a job reads what is
  its own. At temperature 0 the seed decides nothing, but replies of two seeds are two draws:
  whether they are alike is what is measured.
- **engine**: its version and those of PyTorch and transformers, the kind of GPU or CPU, how many
  of them share the work and in how many threads, data type, compilation, how much it batches, which
  model runner and whether FlashInfer's kernels it may use, and `max_model_len`, by which some
  models scale their positions.
- **how replies share batches**: what promises the same reply in any batch (`determinism`), and
  without that promise whether an engine serves one cell or all of a model (`sharing`).
- **versions** of this workflow's own part of the work.

Left out: names of models and judges, where the weights lie, and `kv_cache_gib`, which decides no
more than who meets whom in a batch.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from refusal_stability.core import versions
from refusal_stability.core.hashing import sha256_text
from refusal_stability.hub.checksums import weights_checksum
from refusal_stability.settings.weights import is_folder


def engine_identity(
    facts: dict[str, Any], template_sha256: str | None, weights: dict[str, Any], sharing: str
) -> dict[str, Any]:
    """Return what keys have of an engine.

    Args:
        facts: from :func:`engine.facts.deciding_facts`.
        template_sha256: hash of the chat template; None where there is none.
        weights: from :func:`weights_identity`.
        sharing: `cell` or `model`: what an engine serves.
    """
    # Where no batch makes a difference, neither does what shares it.
    shared = None if facts["determinism"] == "batch_invariant" else sharing
    return {
        "engine": facts,
        "chat_template": template_sha256,
        "weights": weights,
        "sharing": shared,
    }


def reply_key(model: dict[str, Any], temperature: float, seed: int, engine: dict[str, Any]) -> str:
    """Return the key of a cell's replies.

    Args:
        model: an entry of the configuration's `models`, defaults filled in.
        temperature: sampling temperature.
        seed: the cell's seed.
        engine: from :func:`engine_identity`.
    """
    return _key(
        {
            "version": versions.GENERATION,
            **{name: model[name] for name in ("top_p", "top_k", "max_tokens")},
            "temperature": float(temperature),
            "seed": seed,
            **engine,
        }
    )


def verdict_key(judge: dict[str, Any], instructions_sha256: str, engine: dict[str, Any]) -> str:
    """Return the key of the verdicts of a judge with weights of its own.

    Args:
        judge: an entry of the configuration's `judges`, defaults filled in.
        instructions_sha256: hash of the file that the judge follows: of a classifier, it also says
            what each answer means.
        engine: from :func:`engine_identity`.
    """
    return _key(
        {
            "version": versions.JUDGING,
            "instructions": instructions_sha256,
            **{name: judge.get(name) for name in ("kind", "answer", "max_tokens")},
            **engine,
        }
    )


def request_key(token_ids: Sequence[int], seed: int | None = None) -> str:
    """Return the key of one request; a greedy judge's has no seed."""
    return _key([list(token_ids), seed])


def weights_identity(entry: dict[str, Any], folder: Path, memory: Path) -> dict[str, Any]:
    """Return what tells weights from others.

    Args:
        entry: settings of a model or judge.
        folder: where its weights are; for weights of the hub, a snapshot in its cache.
        memory: folder in which checksums of large files are remembered.
    """
    if is_folder(entry["weights"]):
        return {"sha256": weights_checksum(folder, memory)}
    # The id as well: the commits of a mirror need not be hashes of what they hold.
    return {"id": entry["weights"], "commit": folder.name}


def _key(content: Any) -> str:
    return sha256_text(json.dumps(content, sort_keys=True))
