"""Keep replies in a cache that others write at the same time; for two_at_once.py.

    python tests/reliability/store_writer.py FOLDER FIRST_KEY LAST_KEY SEED

Each key gets a random half of its requests, with this writer's own texts, and is read once more. It
prints a line of JSON a key: the requests that it kept, and those that it found with no text at all
of theirs.
"""

import json
import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "workflow/scripts"))

from refusal_stability.cache.store import reply_store
from refusal_stability.core.hashing import sha256_text

REQUESTS = 40


def main() -> None:
    folder, (first, last, seed) = Path(sys.argv[1]), map(int, sys.argv[2:])
    rng, store = random.Random(seed), reply_store(folder)
    for number in range(first, last + 1):
        key, requests = key_of(number), requests_of(number)
        kept = rng.sample(requests, REQUESTS // 2)
        store.add(key, [row(request, seed) for request in kept])
        found = store.get(key, requests)
        missing = [request for request in kept if request not in found]
        print(json.dumps({"key": key, "kept": kept, "missing": missing}), flush=True)


def key_of(number: int) -> str:
    return sha256_text(f"key {number}")


def requests_of(number: int) -> list[str]:
    return [sha256_text(f"request {number}/{place}") for place in range(REQUESTS)]


def row(request: str, seed: int) -> dict:
    """A reply; of two writers, it differs."""
    text = f"The reply of {seed} to {request}. " * 20
    reply = {"text": text, "finish_reason": "stop", "response_tokens": seed, "dtype": "float32"}
    return {"request": request, **reply}


if __name__ == "__main__":
    main()
