"""Kill the controller of the demo's run at random moments, and its jobs in their middle.

The same command goes on each time, after --unlock where the controller was killed, until the run is
done. Its tables must be those of a run that nothing disturbed, byte by byte, and what was finished
must not have been computed again.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import yaml

sys.path.insert(0, str(Path(__file__).parents[1]))

from reliability.tally import Tally
from workspace import REPOSITORY, Workspace, copy_repository, reduced_config

# The controller is killed after at most so many seconds: longer than any job of the demo.
LONGEST = 30.0
# Of a job in its middle: its engine is up, and most of its requests are not answered yet.
JOBS = ["generate.py", "judge.py"]
SIGNALS = [signal.SIGKILL, signal.SIGTERM]
# It says what a run took, and no two take the same.
OF_TIMES = "cost.csv"


@dataclass
class Run:
    """The run under test, in its own copy of the repository, and what was seen to be finished."""

    workspace: Workspace
    finished: dict[Path, int] = field(default_factory=dict)
    twice: list[str] = field(default_factory=list)
    started: list[int] = field(default_factory=list)

    @property
    def results(self) -> Path:
        return self.workspace.folder / "results" / self.workspace.read_config()["run"]

    def start(self) -> subprocess.Popen[bytes]:
        """Start the command; what it prints is in `printed`."""
        command = [str(Path(sys.executable).parent / "snakemake"), "--cores", "2"]
        command += ["--configfile", "config/test.yaml"]
        with (self.workspace.folder / "printed").open("wb") as printed:
            controller = subprocess.Popen(
                command,
                cwd=self.workspace.folder,
                stdout=printed,
                stderr=printed,
                start_new_session=True,
            )
        self.started.append(controller.pid)
        return controller

    def look(self) -> None:
        """Note the cells and verdicts that are finished, and those that were computed again."""
        for path in self.results.glob("[rv]*/*/*.json"):
            try:
                manifest, written = json.loads(path.read_text()), path.stat().st_mtime_ns
            except (OSError, ValueError):
                continue
            before = self.finished.setdefault(path, written)
            # A job that was under way when its controller died ends, and its cell is begun again by
            # the next; it then finds its replies in the cache.
            if written != before and manifest["asked"] > 0:
                self.twice.append(f"{path.relative_to(self.results)} was computed twice")
            self.finished[path] = written

    def forget(self) -> None:
        """Remove all results, for a run from the start."""
        self.kill_jobs()
        subprocess.run(
            ["rm", "-rf", "results", ".snakemake"], cwd=self.workspace.folder, check=True
        )
        self.finished.clear()

    def kill_jobs(self) -> None:
        """Kill what is left of every controller that was started."""
        for session in self.started:
            try:
                os.killpg(session, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.started.clear()

    def last_words(self) -> str:
        return (self.workspace.folder / "printed").read_text(errors="replace")[-1500:]

    def tables(self) -> dict[str, bytes]:
        """The tables by name."""
        found = self.results.glob("tables/*.csv")
        return {path.name: path.read_bytes() for path in found if path.name != OF_TIMES}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=30, help="of the controller")
    parser.add_argument("--job-kills", type=int, default=8, help="of processes of jobs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--reduced", action="store_true", help="a small grid")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run = Run(copy_repository(Path(folder)))
        config = yaml.safe_load((REPOSITORY / "config/demo.yaml").read_text(encoding="utf-8"))
        # With its cache, as users have it.
        reduced = reduced_config() | {"cache": "results/cache"}
        run.workspace.write_config(reduced if args.reduced else config)
        try:
            tally = _kills(run, random.Random(args.seed), args.kills, args.job_kills)
        finally:
            run.kill_jobs()
    tally.report()


def _kills(run: Run, rng: random.Random, kills: int, job_kills: int) -> Tally:
    began = time.monotonic()
    if run.start().wait() != 0:
        sys.exit(f"the undisturbed run failed:\n{run.last_words()}")
    print(f"undisturbed: {time.monotonic() - began:.0f} s", flush=True)
    expected = run.tables()
    tally = Tally("kills")
    run.forget()
    for number in range(kills):
        if not _killed_controller(run, rng.uniform(0, LONGEST), tally):
            # The run was done before: its tables are looked at, and the next begins.
            _compare(run, expected, tally)
            run.forget()
            _killed_controller(run, rng.uniform(0, LONGEST), tally)
        print(f"{number + 1} of {kills}: {[*tally.kinds][-1]}", flush=True)
    _finish(run, tally)
    _compare(run, expected, tally)
    for number in range(job_kills):
        if number % 4 == 0:
            run.forget()
        _killed_job(run, rng, JOBS[number % 2], SIGNALS[number // 2 % 2], tally)
        if number % 4 == 3 or number == job_kills - 1:
            _finish(run, tally)
            _compare(run, expected, tally)
    return tally


def _killed_controller(run: Run, delay: float, tally: Tally) -> bool:
    """Let the run go on and kill it after ``delay`` seconds; False if it was done before."""
    controller = run.start()
    try:
        code = controller.wait(timeout=delay)
    except subprocess.TimeoutExpired:
        at_work = _at_work(controller.pid)
        controller.kill()
        controller.wait()
        run.look()
        unlocked = run.workspace.snakemake("--unlock")
        loss = None if unlocked.returncode == 0 else f"--unlock: {unlocked.stderr[-500:]}"
        tally.add(f"controller killed, at work: {at_work}", loss)
        return True
    if code != 0:
        tally.add("a run that goes on", f"it failed: {run.last_words()}")
    return False


def _killed_job(
    run: Run, rng: random.Random, script: str, number: signal.Signals, tally: Tally
) -> None:
    """Let the run go on, and kill the process of a job once its work has begun."""
    kind = f"{script} killed by {number.name}"
    controller = run.start()
    wait = rng.uniform(0, 8)
    while controller.poll() is None:
        if jobs := [p for p in _processes(controller.pid) if script in " ".join(_words(p))]:
            time.sleep(wait)
            # The innermost: the shell before it has the same words.
            if jobs[-1].is_running():
                jobs[-1].send_signal(number)
                break
        time.sleep(0.2)
    code = controller.wait()
    run.look()
    tally.add(kind, None if code == 1 else f"the run ended with {code}, not with an error")


def _finish(run: Run, tally: Tally) -> None:
    code = run.start().wait()
    loss = None if code == 0 else f"it failed: {run.last_words()}"
    tally.add("the last run, which ends", loss)


def _compare(run: Run, expected: dict[str, bytes], tally: Tally) -> None:
    run.look()
    tables = run.tables()
    wrong = [name for name in sorted(expected | tables) if expected.get(name) != tables.get(name)]
    tally.add("tables beside those undisturbed", f"{wrong} differ" if wrong else None)
    cells = len(run.finished)
    tally.add(f"{cells} finished cells and verdicts", "; ".join(run.twice) or None)
    run.twice.clear()


def _processes(controller: int) -> list[psutil.Process]:
    try:
        return psutil.Process(controller).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _at_work(controller: int) -> str:
    """The scripts of the jobs that run, sorted; "none" between them."""
    names = {
        Path(word).stem
        for process in _processes(controller)
        for word in _words(process)[1:2]
        if word.startswith("workflow/scripts/")
    }
    return ", ".join(sorted(names)) or "none"


if __name__ == "__main__":
    main()
