"""Does a run survive what happens on a Slurm cluster?

    .venv/bin/python tests/reliability/slurm_faults.py [FAULT ...]

Each fault is done to a real run of the demo that lacks one cell, all verdicts and what comes of
them, on the real Slurm of tests/helpers/slurm_cluster.sh: a job is cancelled, runs out of time or
memory, or is preempted; its node or slurmctld fails; Snakemake is killed; a job never starts.
Where the fault ends the run, the same command is given again. A case is lost if the tables then
differ from those of an undisturbed run by one byte, if a cell that was finished is computed again,
if two processes ever compute the same one, or if Snakemake does not say what it should. Ends with
77 where there can be no Slurm.
"""

import argparse
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "workflow/scripts"))
sys.path.insert(0, str(Path(__file__).parents[1]))

import pytest

from helpers.slurm_cluster import CANNOT, slurm_cluster
from helpers.workspace import Workspace, copy_repository, reduced_config, tables
from reliability.cell_processes import watched
from reliability.slurm_fault_cases import FAULTS
from reliability.slurm_run import STAGES, Run, Stage
from reliability.tally import Tally


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("faults", nargs="*", metavar="FAULT", help=f"of {', '.join(FAULTS)}")
    parser.add_argument(
        "--undisturbed", type=Path, help="folder for the undisturbed run, if that is to be kept"
    )
    parser.add_argument(
        "--stage",
        choices=STAGES,
        default="generate",
        help="where the faults strike; what follows stability needs no engine, and no minute",
    )
    args = parser.parse_args()
    names = args.faults or list(FAULTS)
    if unknown := set(names) - set(FAULTS):
        parser.error(f"no such faults: {', '.join(sorted(unknown))}")
    # A shell's background jobs ignore Ctrl-C, and so would the Snakemake that is to obey it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    tally = Tally("slurm_faults")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        undisturbed = _undisturbed(args.undisturbed or folder / "undisturbed")
        try:
            with slurm_cluster(folder / "cluster"):
                for name in names:
                    start = time.monotonic()
                    lost = attempt(
                        name, STAGES[args.stage], folder / name, folder / "cluster", undisturbed
                    )
                    tally.add(name, lost)
                    taken = time.monotonic() - start
                    print(f"{name}, {taken:.0f} s: {lost or 'survived'}", flush=True)
        except pytest.skip.Exception as reason:
            print(reason, file=sys.stderr)
            sys.exit(CANNOT)
    tally.report()


def _undisturbed(folder: Path) -> Workspace:
    """Two models, two seeds and a judge, here and without a fault."""
    if folder.exists():
        return Workspace(folder)
    workspace = copy_repository(folder)
    config = reduced_config() | {"temperatures": [1.0]}
    config["judges"] = config["judges"][:1]
    # The cache that a user has.
    del config["cache"]
    workspace.write_config(config)
    result = workspace.snakemake("--cores", "2", "all_tables")
    assert result.returncode == 0, result.stderr
    return workspace


def attempt(
    name: str, stage: Stage, folder: Path, cluster: Path, undisturbed: Workspace
) -> str | None:
    """Do a fault to a run that lacks a stage, and finish it; return what was lost."""
    shutil.copytree(undisturbed.folder, folder, symlinks=True)
    workspace = Workspace(folder)
    shutil.rmtree(folder / "results/cache", ignore_errors=True)
    for part in stage.lacks:
        for path in workspace.run.glob(part):
            path.unlink()
    run = Run(workspace, cluster, stage)
    there = run.finished_cells()
    with watched(folder) as seen:
        try:
            FAULTS[name](run)
            finished = run.finished_cells() | there
            run.succeeds()
        except AssertionError as error:
            return f"{error}\n{run.printed()[-5000:]}"
        finally:
            run.end()
    cells = run.finished_cells()
    if again := [cell for cell, before in finished.items() if cells[cell] != before]:
        return f"computed again: {again}"
    if seen.at_once:
        return f"computed by two processes at once: {sorted(seen.at_once)}"
    made = {str(Path(path).relative_to("results/reduced")) for path in seen.processes}
    if made != cells.keys() - there.keys():
        return f"of what was made, these were seen: {sorted(made)}"
    if tables(workspace.run) != tables(undisturbed.run):
        return "the tables differ"
    if not run.has_all_records():
        return "Snakemake does not know how each file was made"
    return None


if __name__ == "__main__":
    main()
