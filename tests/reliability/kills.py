"""Kill the controller of the demo's run at random moments, and its jobs in their middle.

The same command goes on each time, after --unlock where the controller was killed, until the run is
done. Its tables must be those of a run that nothing disturbed, byte by byte, and what was finished
must not have been computed again.
"""

import argparse
import base64
import json
import os
import random
import shutil
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

from helpers.workspace import REPOSITORY, Workspace, copy_repository, reduced_config, tables
from reliability.tally import Tally

# The controller is killed within this share of the time that a run takes: more than any job's.
SHARE = 0.4
# Of a job in its middle: its engine is up, and most of its requests are not answered yet.
JOBS = ["generate.py", "judge.py"]
SIGNALS = [signal.SIGKILL, signal.SIGTERM]
# So often the controller dies and its jobs live on, as they do when it alone runs out of memory.
ALONE = 0.5


@dataclass
class Run:
    """The run under test, in its own copy of the repository, and what was seen to be finished."""

    workspace: Workspace
    keeps_models: bool = False
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
        """Note the cells and verdicts that are finished, and those that were computed again.

        One that took all its replies from the cache of runs computed nothing.
        """
        for path in self.results.glob("[rv]*/*/*.json"):
            if self._is_incomplete(path):
                continue
            asked = json.loads(path.read_text(encoding="utf-8"))["asked"]
            written = path.stat().st_mtime_ns
            if written != self.finished.setdefault(path, written) and asked > 0:
                self.twice.append(f"{path.relative_to(self.results)} was computed twice")
            self.finished[path] = written

    def _is_incomplete(self, path: Path) -> bool:
        """Whether its job had not ended when the controller died, by Snakemake's own marker."""
        name = base64.urlsafe_b64encode(bytes(path.relative_to(self.workspace.folder))).decode()
        return (self.workspace.folder / ".snakemake/incomplete" / name).exists()

    def forget(self) -> None:
        """Remove what the run made, for one from the start."""
        self.kill_jobs()
        kept = ["demo_models", "prompts.parquet", "prompts.json"] if self.keeps_models else []
        for path in [*self.results.glob("*"), self.workspace.folder / "results/cache"]:
            if path.is_dir() and path.name not in kept:
                shutil.rmtree(path)
            elif path.name not in kept:
                path.unlink(missing_ok=True)
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
        return tables(self.results)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=30, help="of the controller")
    parser.add_argument("--job-kills", type=int, default=8, help="of processes of jobs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--reduced", action="store_true", help="a small grid")
    parser.add_argument(
        "--finished", type=Path, help="repository with a finished reduced run; models are kept"
    )
    parser.add_argument("--seconds", type=float, help="that such a run takes, if it is there")
    args = parser.parse_args()
    if bool(args.finished) != bool(args.seconds):
        parser.error("--finished goes with --seconds, and --seconds with --finished")
    with tempfile.TemporaryDirectory() as folder:
        if args.finished:
            copy = shutil.copytree(args.finished, Path(folder, "copy"), symlinks=True)
            run = Run(Workspace(Path(copy)), keeps_models=True)
        else:
            run = Run(copy_repository(Path(folder)))
            run.workspace.write_config(_config(args.reduced))
        tally = Tally("kills")
        rng = random.Random(args.seed)
        try:
            expected, seconds = (run.tables(), args.seconds) if args.finished else _undisturbed(run)
            _kill_controllers(run, rng, args.kills, SHARE * seconds, expected, tally)
            _kill_jobs(run, rng, args.job_kills, expected, tally)
        finally:
            run.kill_jobs()
    tally.report()


def _config(reduced: bool) -> dict:
    """The demo's, with its cache, as users have it."""
    if reduced:
        return reduced_config() | {"cache": "results/cache"}
    return yaml.safe_load((REPOSITORY / "config/demo.yaml").read_text(encoding="utf-8"))


def _undisturbed(run: Run) -> tuple[dict[str, bytes], float]:
    """Let the run come to its end: its tables, and the seconds that it took."""
    began = time.monotonic()
    if run.start().wait() != 0:
        sys.exit(f"the undisturbed run failed:\n{run.last_words()}")
    seconds = time.monotonic() - began
    print(f"undisturbed: {seconds:.0f} s", flush=True)
    return run.tables(), seconds


def _kill_controllers(
    run: Run,
    rng: random.Random,
    kills: int,
    longest: float,
    expected: dict[str, bytes],
    tally: Tally,
) -> None:
    if kills == 0:
        return
    run.forget()
    killed = 0
    while killed < kills:
        if _killed_controller(run, rng.uniform(0, longest), rng.random() < ALONE, tally):
            killed += 1
            print(f"killed {killed} of {kills}", flush=True)
        else:
            # The run was done before: its tables are looked at, and the next begins.
            _compare(run, expected, tally)
            run.forget()
    _finish(run, tally)
    _compare(run, expected, tally)


def _kill_jobs(
    run: Run, rng: random.Random, kills: int, expected: dict[str, bytes], tally: Tally
) -> None:
    ways = [(script, number) for number in SIGNALS for script in JOBS]
    for done in range(0, kills, len(ways)):
        run.forget()
        for script, number in ways[: kills - done]:
            _killed_job(run, rng, script, number, tally)
            print(f"killed {script}", flush=True)
        _finish(run, tally)
        _compare(run, expected, tally)


def _killed_controller(run: Run, delay: float, alone: bool, tally: Tally) -> bool:
    """Let the run go on and kill it after ``delay`` seconds; False if it was done before."""
    controller = run.start()
    try:
        code = controller.wait(timeout=delay)
    except subprocess.TimeoutExpired:
        at_work = _at_work(controller.pid)
        if alone:
            controller.kill()
        else:
            run.kill_jobs()
        controller.wait()
        run.look()
        unlocked = run.workspace.snakemake("--unlock")
        loss = None if unlocked.returncode == 0 else f"--unlock: {unlocked.stderr[-500:]}"
        who = "controller" if alone else "controller and jobs"
        tally.add(f"{who} killed, at work: {at_work}", loss)
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
    made = run.tables()
    wrong = [name for name in sorted(expected | made) if expected.get(name) != made.get(name)]
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
