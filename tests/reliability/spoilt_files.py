"""Spoil Parquet files and manifests of a finished run: who reads one must find it and name it."""

import argparse
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "workflow/scripts"))
sys.path.insert(0, str(Path(__file__).parents[1]))

from helpers.workspace import Workspace, copy_repository, reduced_config, tables
from refusal_stability.core.errors import RefusalStabilityError
from refusal_stability.schemas import storage
from refusal_stability.schemas.stages import Prompts, Responses, Stability, Verdicts
from reliability.tally import Tally

CONTRACTS = {
    "prompts.parquet": Prompts,
    "responses/tiny-llama/T1_seed1.parquet": Responses,
    "verdicts/judge-good/tiny-llama.parquet": Verdicts,
    "stability/judge-good.parquet": Stability,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=1000, help="files that are read")
    parser.add_argument("--runs", type=int, default=4, help="runs that come upon one")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--finished", type=Path, help="repository with a finished reduced run")
    args = parser.parse_args()
    rng = random.Random(args.seed)
    tally = Tally("spoilt_files")
    with tempfile.TemporaryDirectory() as folder:
        workspace = _finished(Path(folder), args.finished)
        for number in range(args.cases):
            _read(workspace.run, [*CONTRACTS][number % len(CONTRACTS)], rng, tally)
        for name, way in [*zip(CONTRACTS, (flip, truncate, flip, empty), strict=True)][
            -args.runs :
        ]:
            _run(workspace, name, way, rng, tally)
    tally.report()


def flip(path: Path, rng: random.Random) -> None:
    """Turn over one bit."""
    content = bytearray(path.read_bytes())
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(content)


def truncate(path: Path, rng: random.Random) -> None:
    """Cut off the end, from anywhere."""
    os.truncate(path, rng.randrange(1, path.stat().st_size))


def empty(path: Path, _rng: random.Random) -> None:
    """Leave nothing of it."""
    os.truncate(path, 0)


def _read(run: Path, name: str, rng: random.Random, tally: Tally) -> None:
    """Spoil a copy of a file or of its manifest and read it."""
    ways: dict[str, Callable[[Path, random.Random], None]] = {
        "one bit turned over": flip,
        "truncated": truncate,
        "empty": empty,
    }
    what = rng.choice([*ways, "manifest truncated", "manifest of another", "as it was"])
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, Path(name).name)
        manifest = copy.with_suffix(".json")
        shutil.copy(run / name, copy)
        shutil.copy((run / name).with_suffix(".json"), manifest)
        if what in ways:
            ways[what](copy, rng)
        elif what == "manifest truncated":
            truncate(manifest, rng)
            # Without the line break at its end it is the same.
            if manifest.read_text(encoding="utf-8").rstrip().endswith("}"):
                what = "as it was"
        elif what == "manifest of another":
            other = rng.choice([path for path in CONTRACTS if path != name])
            shutil.copy((run / other).with_suffix(".json"), manifest)
        found = None
        try:
            storage.read_parquet(copy, CONTRACTS[name])
        except RefusalStabilityError as error:
            found = str(error)
    named = found is not None and copy.name in found and "\n" not in found
    loss = None if named == (what != "as it was") else f"{name}: {found}"
    tally.add(what, loss)


def _run(
    workspace: Workspace,
    name: str,
    way: Callable[[Path, random.Random], None],
    rng: random.Random,
    tally: Tally,
) -> None:
    """Spoil a file of the run, as a disk does: the next job that reads it must name it."""
    expected = tables(workspace.run)
    path = workspace.run / name
    before = path.stat()
    way(path, rng)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    kind = f"a run with a spoilt file: {way.__name__} {Path(name).parts[0]}"
    failed = workspace.snakemake("--cores", "2", "--forcerun", "statistics")
    said = [line for line in failed.stderr.splitlines() if line.startswith("error: ")]
    if failed.returncode == 0 or not any(name in line for line in said):
        tally.add(kind, f"rc {failed.returncode}, said {said}")
        return
    # As the hint says.
    path.unlink()
    path.with_suffix(".json").unlink()
    again = workspace.snakemake("--cores", "2")
    wrong = again.returncode != 0 or tables(workspace.run) != expected
    tally.add(kind, f"rc {again.returncode}: {again.stderr[-1000:]}" if wrong else None)


def _finished(folder: Path, finished: Path | None) -> Workspace:
    """A copy of a finished run, or one that is made here."""
    if finished is not None:
        return Workspace(Path(shutil.copytree(finished, folder / "copy", symlinks=True)))
    workspace = copy_repository(folder)
    workspace.write_config(reduced_config())
    made = workspace.snakemake("--cores", "2")
    if made.returncode != 0:
        sys.exit(made.stderr)
    return workspace


if __name__ == "__main__":
    main()
