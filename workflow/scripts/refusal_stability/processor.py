"""Which kind of CPU this machine has."""

import os
from pathlib import Path


def kind_of_cpu() -> list[str]:
    """Return the name of the CPU and its vector instructions: code and sums differ by them."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    # Those of the first core; other architectures have other names for them, or none.
    told = {}
    for name, _, value in (line.partition(":") for line in lines):
        told.setdefault(name.strip(), value.strip())
    vector = [flag for flag in told.get("flags", "").split() if flag.startswith(("avx", "amx"))]
    return [told.get("model name", os.uname().machine), *sorted(vector)]
