"""Run the reduced demo on disks that are too small: it must say so, and go on when there is room.

The disks are tmpfs, in a mount namespace of this script's own where it may not mount otherwise.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from helpers.workspace import Workspace, copy_repository, reduced_config, tables
from reliability.tally import Tally

# Of the disk, in KiB: it is full while models are trained, of verdicts, of tables, of the page.
SIZES = [2000, 6100, 6250, 6350, 7000]
ROOM = "200m"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="of the disks, KiB")
    parser.add_argument("--finished", type=Path, help="repository with a finished reduced run")
    args = parser.parse_args()
    if os.geteuid() != 0:
        # Root of a namespace of its own may mount a tmpfs.
        os.execvp("unshare", ["unshare", "-rm", sys.executable, *sys.argv])
    tally = Tally("full_disk")
    with tempfile.TemporaryDirectory() as folder:
        workspace = copy_repository(Path(folder))
        workspace.write_config(reduced_config())
        results = workspace.folder / "results"
        expected = (
            tables(Workspace(args.finished).run) if args.finished else _undisturbed(workspace)
        )
        for size in args.sizes:
            for leftover in (results, workspace.folder / ".snakemake"):
                shutil.rmtree(leftover, ignore_errors=True)
            results.mkdir()
            _mount(results, f"size={size}k")
            try:
                loss = _fill(workspace, expected)
            finally:
                subprocess.run(["umount", "--lazy", results], check=True)
            tally.add(f"disk of {size} KiB, full in {loss[0]}", loss[1])
    tally.report()


def _fill(workspace: Workspace, expected: dict[str, bytes]) -> tuple[str, str | None]:
    """Run until the disk is full, make room, run again: (rule that failed, what went wrong)."""
    failed = workspace.snakemake("--cores", "2")
    rules = [
        line.removeprefix("Error in rule ").partition(",")[0].rstrip(":")
        for line in failed.stderr.splitlines()
        if line.startswith("Error in rule ")
    ]
    full_in = rules[0] if rules else "Snakemake itself"
    if failed.returncode == 0:
        return "no rule", "there was room enough"
    # In its log; or, where that had no room, at the end of the run.
    words = ("No space left on device", "(empty: the job was killed or the disk is full)")
    said = [line for line in failed.stderr.splitlines() if any(word in line for word in words)]
    if not said:
        return full_in, f"it did not say why: {failed.stderr[-1500:]}"
    if "Traceback" in failed.stderr:
        return full_in, f"a traceback: {failed.stderr[-1500:]}"
    results = workspace.folder / "results"
    halves = [str(path) for path in results.rglob("*.part")]
    _mount(results, f"remount,size={ROOM}")
    again = workspace.snakemake("--cores", "2")
    if again.returncode != 0:
        return full_in, f"it did not go on: {again.stderr[-1500:]}"
    if tables(workspace.run) != expected:
        return full_in, "the tables differ"
    return full_in, f"half files are left: {halves}" if halves else None


def _mount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True)


def _undisturbed(workspace: Workspace) -> dict[str, bytes]:
    made = workspace.snakemake("--cores", "2")
    if made.returncode != 0:
        sys.exit(made.stderr)
    return tables(workspace.run)


if __name__ == "__main__":
    main()
