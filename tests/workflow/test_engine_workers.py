"""Worker processes of an engine, two as over two GPUs, that do not start or are killed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.tiny_checkpoint import write_checkpoint
from helpers.workspace import REPOSITORY

JOB = """
import os, sys, threading
from pathlib import Path
from refusal_stability.core import cli
from refusal_stability.engine import vllm_engine

def main():
    folder = Path(sys.argv[1])
    entry = {"name": "m", "weights": str(folder), "gpus": 0, "dtype": "float32",
        "max_model_len": 512, "enforce_eager": True, "kv_cache_gib": 0.1}
    vllm_engine.prepare_imports(entry)
    llm = vllm_engine.load_engine(
        entry, folder, tensor_parallel_size=2, distributed_executor_backend="mp")
    from vllm import SamplingParams
    (_, worker) = llm.llm_engine.engine_core.engine_core.model_executor.workers
    os.kill(worker.proc.pid, 9)
    sampling = SamplingParams(temperature=1, seed=1, max_tokens=64)
    list(vllm_engine.stream(llm, [([1, 2, 3], sampling)], 1))

if __name__ == "__main__":
    cli.run(main)
"""


def job(folder: Path) -> subprocess.CompletedProcess[str]:
    (folder / "job.py").write_text(JOB, encoding="utf-8")
    return subprocess.run(
        [sys.executable, folder / "job.py", folder / "model"],
        env=os.environ | {"PYTHONPATH": str(REPOSITORY / "workflow/scripts")},
        # As in a job's log.
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (True, "error: m: the engine's worker processes did not start. Hint: the cause is the"),
        (False, "error: a worker process of the engine failed. Hint: the cause is the"),
    ],
)
def test_a_worker_that_fails_is_one_line(tmp_path: Path, broken: bool, says: str) -> None:
    weights = write_checkpoint(tmp_path / "model") / "model.safetensors"
    if broken:
        weights.write_bytes(weights.read_bytes()[:5000])
    result = job(tmp_path)
    assert result.returncode == 1, result.stdout[-2000:]
    lines = [line for line in result.stdout.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert lines[0].startswith(says)
    # The worker's own line says why, as the hint says it does.
    own = "SafetensorError" if broken else "died unexpectedly"
    assert own in result.stdout
    assert not any(line.startswith("Traceback") for line in result.stdout.splitlines())
