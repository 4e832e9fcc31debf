"""A copy of the repository, to run the real workflow in."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

REPOSITORY = Path(__file__).parents[2]
# A reduced grid of the demo: everything real, two minutes on two cores.
REDUCED = {
    "run": "reduced",
    "prompts": {"source": "demo", "limit": 12},
    "temperatures": [0.0, 1.0],
    "seeds": [1, 2],
    # What a test asks for is computed, and not taken from what another job computed.
    "cache": False,
}


@dataclass(frozen=True)
class Workspace:
    """A folder that holds the repository's files and, perhaps, results."""

    folder: Path

    @property
    def run(self) -> Path:
        """The results of the reduced run."""
        return self.folder / "results" / "reduced"

    def write_config(self, config: dict) -> None:
        text = yaml.safe_dump(config, sort_keys=False)
        (self.folder / "config" / "test.yaml").write_text(text, encoding="utf-8")

    def read_config(self) -> dict:
        return yaml.safe_load((self.folder / "config" / "test.yaml").read_text(encoding="utf-8"))

    def snakemake(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run Snakemake as a user does, on the test's configuration unless told otherwise."""
        if not {"--configfile", "--profile", "--lint"} & set(arguments):
            arguments = ("--configfile", "config/test.yaml", *arguments)
        return self.call(str(Path(sys.executable).parent / "snakemake"), *arguments)

    @contextmanager
    def started(self, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        """Start Snakemake; when the block ends, kill it with all its jobs."""
        command = [str(Path(sys.executable).parent / "snakemake")]
        command += ["--configfile", "config/test.yaml", *arguments]
        # A session of its own, so that the jobs can be killed with it.
        quiet = subprocess.DEVNULL
        run = subprocess.Popen(
            command, cwd=self.folder, stdout=quiet, stderr=quiet, start_new_session=True
        )
        try:
            yield run
        finally:
            os.killpg(run.pid, signal.SIGKILL)
            run.wait()

    def call(self, *command: str) -> subprocess.CompletedProcess[str]:
        # What pytest and `make test` set for themselves is not for the jobs.
        own = ("PYTEST", "MAKE", "MFLAGS")
        environment = {k: v for k, v in os.environ.items() if not k.startswith(own)}
        return subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False
        )

    def planned(self, *arguments: str) -> dict[str, int]:
        """The jobs of a dry run: {rule: count}, without the target `all`."""
        result = self.snakemake("--dry-run", *arguments)
        output = result.stdout + result.stderr
        assert result.returncode == 0, output
        table = output.partition("Job stats:")[2].partition("Reasons:")[0]
        counts = dict(re.findall(r"^(\w+) +(\d+)$", table, flags=re.MULTILINE))
        return {rule: int(n) for rule, n in counts.items() if rule not in ("all", "total")}


def tables(run: Path) -> dict[str, bytes]:
    """Return what must be the same, whatever happened: {name: content} of the tables of a run."""
    found = run.glob("tables/*.csv")
    # It says what the run took, and no two take the same.
    return {path.name: path.read_bytes() for path in found if path.name != "cost.csv"}


def copy_repository(folder: Path) -> Workspace:
    """Copy what git knows or would add: the user's clone with the changes under test."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        source = REPOSITORY / name
        if source.exists() or source.is_symlink():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, folder / name, follow_symlinks=False)
    return Workspace(folder)


def reduced_config() -> dict:
    demo = yaml.safe_load((REPOSITORY / "config/demo.yaml").read_text(encoding="utf-8"))
    return demo | REDUCED
