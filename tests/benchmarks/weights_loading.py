"""What reading the weights of a model again costs: from disk, and from the memory of its node.

    .venv/bin/python tests/benchmarks/weights_loading.py [--gib 3]

Writes a safetensors file, drops it from the page cache, and reads all of its tensors, as vLLM does,
in processes one after another and two at once.
"""

import argparse
import os
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from processes import run
from safetensors.torch import save_file

TENSORS = 24
READ = """
import sys
from safetensors import safe_open
with safe_open(sys.argv[1], "pt") as file:
    for name in file.keys():
        file.get_tensor(name).clone()
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gib", type=float, default=3.0)
    gib = parser.parse_args().gib
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        path = Path(folder) / "model.safetensors"
        size = int(gib * 2**30 / TENSORS / 2)
        # Random, as a file of zeros may be stored as none.
        tensors = {
            str(i): torch.randint(-99, 99, (size,), dtype=torch.int16) for i in range(TENSORS)
        }
        save_file(tensors, path)
        del tensors
        nothing = run(sys.executable, "-c", "import safetensors, torch").wall
        for label in ("from disk", "again", "from disk, two at once", "again, two at once"):
            if "disk" in label:
                forget(path)
            with ThreadPoolExecutor(2) as pool:
                both = [
                    pool.submit(run, sys.executable, "-c", READ, path)
                    for _ in range(1 + ("two" in label))
                ]
            seconds = max(one.result().wall for one in both) - nothing
            print(f"{label:24} {seconds:6.2f} s, {gib / seconds:5.2f} GiB/s each", flush=True)


def forget(path: Path) -> None:
    """Drop a file from the page cache."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


if __name__ == "__main__":
    main()
