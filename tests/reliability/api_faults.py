"""Is any reply of a faulty provider lost, or paid for twice?

    .venv/bin/python tests/reliability/api_faults.py [--cases 5000] [--seed 0]

The job that asks an API generates five cells, of so many replies in all, from a server here that
fails at random: HTTP 429 and 500, no answer in time, a connection that breaks before or within an
answer, an answer that is sent twice. The first cell's job is killed in the middle. Jobs are run
again until no request has failed. A case is lost if its reply is not there or not its own, and if
it was delivered whole more than once. What a broken connection, a missed time or the kill has
swallowed may have been paid for, and nobody can know it: it is counted apart.
"""

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "workflow/scripts"))
sys.path.insert(0, str(Path(__file__).parents[1]))

import polars as pl

from helpers.stub_provider import Reply, stub_provider
from helpers.workspace import REPOSITORY
from refusal_stability.core import files, hashing
from refusal_stability.schemas import storage
from refusal_stability.schemas.stages import Prompts, Responses
from reliability.tally import Tally

CELLS = 5
CONCURRENCY = 32
# Long enough for a busy machine: what comes later than this was paid for and is asked for again.
TIMEOUT_SECONDS = 12.0
# Of ten requests, seven are answered well.
FAULTS = {
    "HTTP 429": Reply(status=429, code="rate_limit_exceeded", headers={"retry-after": "0.1"}),
    "HTTP 500": Reply(status=500, code="server_error"),
    "no answer in time": Reply(delay=1.5 * TIMEOUT_SECONDS),
    "broken before the answer": Reply(sent=0),
    "broken within the answer": Reply(sent=0.5),
    "answered twice": Reply(times=2),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=5000, help="replies, over five cells")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        ask(args.cases, args.seed, Path(folder)).report()


def ask(cases: int, seed: int, folder: Path) -> Tally:
    """Generate the cells, and count every reply."""
    prompts = write_prompts(cases // CELLS, folder)
    provider = Provider(seed, FAULTS)
    with stub_provider(provider.answer, models=["m"]) as stub:
        provider.requests = stub.requests
        killed = start(folder, stub.url, 1)
        while len(provider.delivered) < len(prompts) // 2:
            time.sleep(0.01)
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        provider.forget_what_is_not_in(cache(folder, 1), 1)
        jobs = 1
        for cell in range(1, CELLS + 1):
            whole = False
            while not whole:
                jobs += 1
                assert jobs < 20 * CELLS, "it never ends"
                assert start(folder, stub.url, cell).wait() == 0, printed(folder, cell)
                responses = storage.read_parquet(output(folder, cell), Responses)
                whole = (responses["finish_reason"] == "stop").all()
    print(f"{len(provider.requests)} requests of {jobs} jobs, one of which was killed")
    print(", ".join(f"{name}: {count}" for name, count in sorted(provider.faults.items())))
    print(
        f"swallowed by the kill: {provider.swallowed_by_kill}, of {CONCURRENCY} at most under way"
    )
    tally = Tally("api_faults")
    for cell in range(1, CELLS + 1):
        responses = storage.read_parquet(output(folder, cell), Responses)
        for prompt, reply in zip(prompts, responses["response"], strict=True):
            tally.add("reply of a faulty provider", provider.wrong(prompt, cell, reply))
    return tally


def write_prompts(count: int, folder: Path) -> list[str]:
    """Write so many prompts, and return them."""
    prompts = [f"Question {number}?" for number in range(count)]
    rows = [
        {
            "prompt_id": hashing.sha256_text(text)[:12],
            "prompt": text,
            "source": "s",
            "category": None,
        }
        for text in prompts
    ]
    table = pl.DataFrame(rows, schema_overrides={"category": pl.String})
    storage.write_parquet(table, folder / "prompts.parquet", Prompts)
    return prompts


class Provider:
    """Answers or fails at random, and knows what it has answered."""

    def __init__(self, seed: int, faults: Mapping[str, Reply]) -> None:
        """Fail in three of ten requests, by one of ``faults``."""
        self._faults = faults
        self.requests: list[dict] = []
        self.faults: Counter[str] = Counter()
        # (prompt, seed): the texts that were sent whole.
        self.delivered: dict[tuple[str, int], list[str]] = {}
        self.swallowed_by_kill = 0
        self._random = random.Random(seed)
        self._lock = threading.Lock()

    def answer(self, number: int, message: str) -> Reply:
        """See :func:`stub_provider`."""
        if not message.startswith("Question"):
            return Reply("Hello.")
        text = f"Reply {number} to {message}"
        with self._lock:
            fails = self._random.random() < 0.3
            fault = self._random.choice(list(self._faults)) if fails else "none"
            self.faults[fault] += 1
            if fault in ("none", "answered twice"):
                key = (message, self.requests[number]["seed"])
                self.delivered.setdefault(key, []).append(text)
        return replace(self._faults.get(fault, Reply()), text=text)

    def forget_what_is_not_in(self, cache: Path, seed: int) -> None:
        """Take back what was sent to a process that was killed before it kept it."""
        kept = {entry["content"] for entry in files.read_json_lines(cache)}
        for of in [of for of in self.delivered if of[1] == seed]:
            texts = self.delivered.pop(of)
            if left := [text for text in texts if text in kept]:
                self.delivered[of] = left
            self.swallowed_by_kill += len(texts) - len(left)

    def wrong(self, prompt: str, seed: int, reply: str) -> str | None:
        """What is wrong with a reply, if something is."""
        texts = self.delivered.get((prompt, seed), [])
        if reply not in texts:
            return f"{prompt} has {reply!r}"
        return None if len(texts) == 1 else f"{prompt} was answered {len(texts)} times"


def start(folder: Path, url: str, cell: int, *options: str) -> subprocess.Popen[bytes]:
    """Start the job of a cell, whose seed is its number."""
    model = {
        "name": "m",
        "kind": "openai",
        "model": "m",
        "base_url": f"{url}/v1",
        "max_tokens": 8,
        "top_p": None,
        # The cell's own seed in every request.
        "seed_scope": "cell",
        "send_seed": True,
        "max_concurrency": CONCURRENCY,
        "timeout": TIMEOUT_SECONDS,
        "max_retries": 2,
    }
    command = [sys.executable, str(REPOSITORY / "workflow/scripts/generate.py")]
    command += ["--model", json.dumps(model), "--temperature", "1", "--seed", str(cell)]
    command += ["--prompts", "prompts.parquet", "--cache", "cache"]
    command += ["--output", str(output(folder, cell)), *options]
    with _log(folder, cell).open("wb") as log:
        return subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)


def printed(folder: Path, cell: int) -> str:
    """What the last job of a cell has printed."""
    return _log(folder, cell).read_text(encoding="utf-8")


def _log(folder: Path, cell: int) -> Path:
    return folder / f"cell{cell}.log"


def output(folder: Path, cell: int) -> Path:
    """The replies of a cell."""
    return folder / f"T1_seed{cell}.parquet"


def cache(folder: Path, cell: int) -> Path:
    """Where the replies of a cell are kept as they arrive."""
    return folder / "cache/m" / f"T1_seed{cell}.jsonl"


if __name__ == "__main__":
    main()
