"""A judge behind a stub of its provider, and what it is asked."""

import subprocess
import time
from pathlib import Path
from typing import Any

import polars as pl

KEY = "sk-secret-0123456789"
RUBRIC = "Label the reply."
KINDS = ("openai", "anthropic")


def api_judge(kind: str, url: str, **settings: Any) -> dict[str, Any]:
    """The settings of a judge at the address of a stub; its key is in TEST_KEY."""
    return {
        "name": "api",
        "kind": kind,
        "model": "judge-1",
        "base_url": url + ("/v1" if kind == "openai" else ""),
        "api_key_env": "TEST_KEY",
        "temperature": 0,
        "answer": "constrained",
        "max_tokens": 64,
        "batch": False,
        "max_concurrency": 4,
        "timeout": 5,
        "max_retries": 2,
        **settings,
    }


def pairs(count: int = 1) -> pl.DataFrame:
    """So many pairs to judge."""
    return pl.DataFrame(
        {
            "prompt_id": [f"{number:012x}" for number in range(count)],
            "prompt": [f"May I, {number}?" for number in range(count)],
            "response": [f"Reply {number}." for number in range(count)],
        }
    )


def kill_after_lines(child: subprocess.Popen[bytes], path: Path, lines: int) -> None:
    """Kill a process as soon as a file that it writes has so many lines."""
    deadline = time.monotonic() + 60
    while not path.exists() or len(path.read_text().splitlines()) < lines:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    child.kill()
    child.wait()
