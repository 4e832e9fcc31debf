"""A run on the Slurm of this machine, and what the faults of slurm_faults.py do to it."""

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from helpers.slurm_cluster import PROFILE, QUICK, fill_in_profile, output_of
from helpers.workspace import Workspace

# A busy machine of two cores is slow.
PATIENCE = 600
_COMMAND = [
    str(Path(sys.executable).parent / "snakemake"),
    *("all_tables", "--profile", "slurm", "--configfile", "config/test.yaml", *QUICK),
]


def wait_until(what: str, holds: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Wait until something holds.

    Raises:
        AssertionError: it does not, after so many seconds.
    """
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"waited in vain: {what}"
        time.sleep(0.2)


@dataclass(frozen=True)
class Stage:
    """Where a fault strikes: one job, and what there is beside it."""

    rule: str
    # What the job makes, in the folder of the run.
    makes: str
    # What the last lines of a failed run call it, and how many jobs wait for it.
    name: str
    waiting: int
    # What does not wait for it.
    beside: str
    # What the run lacks when it starts.
    lacks: tuple[str, ...]
    partition: str
    # MB that do not do.
    little_memory: int


_LAST = ("stability/*", "tables/*", "logs/**/*.log")
STAGES = {
    "generate": Stage(
        rule="generate",
        makes="responses/tiny-llama/T1_seed1.parquet",
        name="generate model tiny-llama, temperature 1, seed 1",
        waiting=4,
        beside="verdicts/judge-good/tiny-qwen2.parquet",
        lacks=("responses/tiny-llama/T1_seed1.*", "verdicts/*/*", *_LAST),
        partition="gpu",
        little_memory=600,
    ),
    "stability": Stage(
        rule="stability",
        makes="stability/judge-good.parquet",
        name="stability judge judge-good",
        waiting=1,
        beside="tables/cost.csv",
        lacks=_LAST,
        partition="cpu",
        little_memory=60,
    ),
}


class Run:
    """A workspace whose jobs go to Slurm, and its Snakemake."""

    def __init__(self, workspace: Workspace, cluster: Path, stage: Stage) -> None:
        """Use the profile as docs/cluster.md says; ``cluster`` is the folder of Slurm's daemons."""
        self.workspace, self.cluster, self.stage = workspace, cluster, stage
        self._printed = workspace.folder / "printed.log"
        self._printed.touch()
        self._process: subprocess.Popen[bytes] | None = None
        keys = ["slurm_account", "slurm_partition", "precommand"]
        fill_in_profile(workspace, keys=keys, engines_get_a_gpu=True)

    def start(self) -> None:
        """Start Snakemake: always the same command."""
        with self._printed.open("ab") as printed:
            self._process = subprocess.Popen(
                _COMMAND,
                cwd=self.workspace.folder,
                stdout=printed,
                stderr=printed,
                start_new_session=True,
            )

    def send(self, number: signal.Signals) -> None:
        """Send Snakemake, and nothing else, a signal."""
        self._process.send_signal(number)

    def ends(self) -> int:
        """Wait for Snakemake to end; return its exit code."""
        wait_until("Snakemake ends", lambda: self._process.poll() is not None)
        return self._process.returncode

    def is_over(self) -> bool:
        """Tell whether Snakemake was started and has ended."""
        return self._process is None or self._process.poll() is not None

    def succeeds(self) -> None:
        """Wait for Snakemake if it runs, else give the same command again; it ends well."""
        if self.is_over():
            self.start()
        assert self.ends() == 0, "the last run failed"

    def unlock(self) -> None:
        """Do what Snakemake asks for after it was killed."""
        result = self.workspace.snakemake("--unlock")
        assert result.returncode == 0, result.stderr

    def end(self) -> None:
        """Leave no process and no job."""
        if not self.is_over():
            self._process.kill()
            self._process.wait()
        output_of("scancel", "--user=root")
        wait_until("the queue is empty", lambda: not self.queue())

    def printed(self) -> str:
        """Return what all runs have printed."""
        return self._printed.read_text(encoding="utf-8")

    def prints(self, *texts: str) -> None:
        """Check that Snakemake has printed ``texts``."""
        for text in texts:
            assert text in self.printed(), f"not printed: {text}"

    def queue(self) -> dict[str, tuple[str, str]]:
        """Return {id: (state, comment)} of the jobs in the queue."""
        lines = output_of("squeue", "--noheader", "--format=%i|%T|%k").splitlines()
        return {job: (state, comment) for job, state, comment in (x.split("|") for x in lines)}

    def running(self) -> str:
        """Wait until the script of the stage's job runs; return the job's id."""
        rule, jobs = self.stage.rule, []

        def is_running() -> bool:
            queue = self.queue().items()
            jobs[:] = [job for job, (state, c) in queue if (state, rule in c) == ("RUNNING", True)]
            # The script's shell has opened its log.
            return bool(jobs and list((self.workspace.run / "logs" / rule).rglob("*.log")))

        wait_until(f"a job of {rule} runs", lambda: is_running() or self.is_over())
        assert jobs, f"no job of {rule} runs"
        return jobs[0]

    def state(self, job: str) -> str:
        """Return what Slurm's accounting says of a job."""
        return output_of(
            "sacct", "--noheader", "--allocations", "--parsable2", f"--jobs={job}", "--format=State"
        ).strip()

    def submitted(self) -> int:
        """Return how many jobs were submitted, by all runs."""
        return len(re.findall(r"has been submitted with SLURM jobid", self.printed()))

    def is_refused(self) -> list[str]:
        """Give the command while jobs are in the queue; return those that Snakemake names.

        Raises:
            AssertionError: it submits one, or does not name them.
        """
        there, submitted = sorted(self.queue()), self.submitted()
        self.start()
        assert self.ends() == 1, "Snakemake started while its jobs were in the queue"
        assert self.submitted() == submitted, "jobs were submitted"
        line = re.search(
            r"error: \d+ job\(s\) of this run are in Slurm's queue already.*: ([\d ]+)\. Hint",
            self.printed(),
        )
        assert line, "no line says that jobs are in the queue"
        named = sorted(line[1].split())
        assert set(self.queue()) <= set(named) <= set(there), (named, there)
        return named

    def set_profile(self, key: str, value: int) -> None:
        """Change what the stage's job asks for."""
        rule = self.stage.rule
        path = self.workspace.folder / PROFILE
        text, count = re.subn(
            rf"(?ms)^(  {rule}:\n.*?^    {key}: )\d+", rf"\g<1>{value}", path.read_text(), count=1
        )
        assert count == 1, (rule, key)
        path.write_text(text)

    def finished_cells(self) -> dict[str, tuple[int, bytes]]:
        """Return {file: (time, content)} of what is finished: with its manifest, if it has one."""
        found = {}
        for folder in ("responses", "verdicts", "stability"):
            for path in (self.workspace.run / folder).rglob("*.parquet"):
                if folder == "stability" or path.with_suffix(".json").is_file():
                    name = str(path.relative_to(self.workspace.run))
                    found[name] = (path.stat().st_mtime_ns, path.read_bytes())
        return found

    def has_all_records(self) -> bool:
        """Tell whether nothing is left to do, and Snakemake knows how each file was made."""
        result = self.workspace.snakemake("--dry-run", "--cores", "1", "all_tables")
        printed = result.stdout + result.stderr
        return "Nothing to be done" in printed and "missing provenance" not in printed
