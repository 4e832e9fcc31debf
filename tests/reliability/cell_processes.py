"""Which processes compute which file, while a run goes on: none may be computed by two at once."""

import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

_SCRIPTS = ("/generate.py", "/judge.py", "/stability.py")
# Seconds between two looks.
_PAUSE = 0.2


@dataclass
class Seen:
    """What was seen of the processes of one folder."""

    # By the file that they make: process ids, each with the time at which it began.
    processes: dict[str, set[tuple[int, int]]] = field(default_factory=lambda: defaultdict(set))
    at_once: set[str] = field(default_factory=set)


@contextmanager
def watched(folder: Path) -> Iterator[Seen]:
    """Look at the processes of the scripts in ``folder`` while the context lasts."""
    seen, end = Seen(), threading.Event()

    def look() -> None:
        while not end.wait(_PAUSE):
            now = defaultdict(set)
            for pid, parent, began, output in _computing(folder):
                now[output].add((pid, parent))
                seen.processes[output].add((pid, began))
            for output, processes in now.items():
                ids = {pid for pid, _ in processes}
                # What a process has forked is not another one.
                if sum(parent not in ids for _, parent in processes) > 1:
                    seen.at_once.add(output)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        end.set()
        thread.join()


def _computing(folder: Path) -> Iterator[tuple[int, int, int, str]]:
    for place in Path("/proc").iterdir():
        if not place.name.isdigit():
            continue
        try:
            words = (place / "cmdline").read_bytes().decode(errors="replace").split("\0")
            if len(words) < 2 or not words[1].endswith(_SCRIPTS):
                continue
            if (place / "cwd").resolve() != folder.resolve():
                continue
            # Behind the name, which may hold anything, up to the last bracket.
            status = (place / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            # It has ended.
            continue
        output = words[words.index("--output") + 1]
        yield int(place.name), int(status[1]), int(status[19]), output
