"""Are results of an older version read, and those of a newer one refused before anything is lost?

    .venv/bin/python tests/reliability/upgrades.py [--commits 812b06d 8f2442b | --planted]

A small run of the demo is made by each older version, out of the history of this repository, and
taken over as it is: this version must plan it, with no cell or verdict computed again unless
`versions.py` says so, read every Parquet file, and make its tables. Then formats are planted in the
manifests of a run of this version, in which each must say its own: older ones are read, others are
one line.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).parents[2] / "workflow/scripts"))
sys.path.insert(0, str(Path(__file__).parents[1]))

from helpers.stub_provider import Reply, stub_provider
from helpers.workspace import REPOSITORY, Workspace, copy_repository, reduced_config
from refusal_stability.core import versions
from refusal_stability.core.errors import RefusalStabilityError
from refusal_stability.schemas import stages, storage
from reliability.tally import Tally

# The first that ran, and the last before manifests said of which format.
COMMITS = ["812b06d", "8f2442b"]
CONTRACTS = {
    "prompts.parquet": stages.Prompts,
    "responses/*/*.parquet": stages.Responses,
    "verdicts/*/*.parquet": stages.Verdicts,
    "stability/*.parquet": stages.Stability,
}
# None: the manifest says nothing of it.
READ = [None, 1, versions.FORMAT]
NEWER = [versions.FORMAT + 1, 10**30]
NONE = ["x", "2", 0, -1, 1.5, True, [2], {}, ""]
# They cost an engine, and are made again when the version of their part is raised.
EXPENSIVE = {"generate": "GENERATION", "judge": "JUDGING", "train_demo_model": "TRAINING"}
# Where it was once, and is.
VERSIONS = [f"workflow/scripts/refusal_stability/{at}versions.py" for at in ("", "core/")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--commits", nargs="+", default=COMMITS, help="older versions")
    parser.add_argument("--made", type=Path, help="keeps or has what they made, a folder each")
    parser.add_argument("--planted", action="store_true", help="without older versions")
    args = parser.parse_args()
    tally = Tally("upgrades")
    with tempfile.TemporaryDirectory() as folder:
        for commit in [] if args.planted else args.commits:
            made = (args.made or Path(folder)) / commit
            if not made.exists():
                make(commit, made)
            take_over(made, Path(folder) / f"new-{commit}", tally)
        plant(Path(folder) / "planted", tally)
    tally.report()


def make(commit: str, folder: Path) -> None:
    """Run the demo, on a small grid, by an older version; its weights are those trained here."""
    folder.mkdir(parents=True)
    archive = subprocess.run(["git", "archive", commit], cwd=REPOSITORY, capture_output=True)
    subprocess.run(["tar", "-x"], cwd=folder, input=archive.stdout, check=True)
    shutil.copytree(REPOSITORY / "results/demo/demo_models", folder / "results/old/demo_models")
    for path in (folder / "results").rglob("*"):
        path.touch()
    config = yaml.safe_load((folder / "config/demo.yaml").read_text(encoding="utf-8"))
    prompts = {"source": "demo", "limit": 12}
    config |= {"run": "old", "prompts": prompts, "temperatures": [0.0, 1.0], "seeds": [1]}
    config["judges"] = config["judges"][:1]
    workspace = Workspace(folder)
    workspace.write_config(config)
    ended = workspace.snakemake("--cores", "2", "--rerun-triggers", "mtime")
    assert ended.returncode == 0, ended.stderr[-3000:]


def take_over(made: Path, folder: Path, tally: Tally) -> None:
    """Let this version plan, read and finish what an older one made."""
    folder.mkdir()
    workspace = copy_repository(folder)
    for name in ("results", ".snakemake"):
        shutil.copytree(made / name, folder / name, symlinks=True)
    shutil.copy(made / "config/test.yaml", folder / "config/test.yaml")
    run = folder / "results/old"
    plan = workspace.snakemake("--dry-run")
    said = plan.stdout + plan.stderr
    reasons = re.findall(r"^ *Reason: (.*)$", said, re.MULTILINE)
    for reason, count in Counter(reason.partition(":")[0] for reason in reasons).items():
        print(f"{made.name}: {count} jobs planned: {reason}")
    again = workspace.planned().keys() & EXPENSIVE.keys()
    wrong = None if plan.returncode == 0 else said[-500:]
    if again != (raised := _raised(made.name)):
        wrong = wrong or f"{sorted(again)} run again, and not {sorted(raised)}"
    tally.add("plan of an older run", wrong)
    for path, contract in _tables(run):
        tally.add("Parquet file of an older version", _wrong_reading(path, contract))
    ended = workspace.snakemake("--cores", "2")
    tally.add("older run finished", None if ended.returncode == 0 else ended.stderr[-800:])


def _raised(commit: str) -> set[str]:
    """The rules whose version is another one than that of an older commit, which may have none."""
    then = {}
    for path in VERSIONS:
        shown = subprocess.run(
            ["git", "show", f"{commit}:{path}"],
            cwd=REPOSITORY, capture_output=True, text=True, check=False,
        )  # fmt: skip
        then |= dict(re.findall(r"^(\w+) = (\d+)", shown.stdout, re.MULTILINE))
    return {
        rule
        for rule, name in EXPENSIVE.items()
        if int(then.get(name, 1)) != getattr(versions, name)
    }


def plant(folder: Path, tally: Tally) -> None:
    """Plant formats in the manifests of a run of this version."""
    folder.mkdir()
    workspace = copy_repository(folder)
    with stub_provider(lambda *_: Reply("I am sorry, no."), models=["m"]) as stub:
        address = f"{stub.url}/v1"
        model = {"name": "m", "kind": "openai", "model": "m", "base_url": address, "max_tokens": 8}
        phrases = {"name": "phrases", "kind": "string_match"}
        phrases["phrases"] = "resources/phrases/gcg.txt"
        config = reduced_config() | {"models": [model], "judges": [phrases], "seeds": [1]}
        workspace.write_config(config)
        ended = workspace.snakemake("--cores", "2", "all_tables")
        assert ended.returncode == 0, ended.stderr[-3000:]
    manifests = [path for path in workspace.run.rglob("*.json") if "logs" not in path.parts]
    for path in manifests:
        said = json.loads(path.read_text(encoding="utf-8")).get("format")
        wrong = None if said == versions.FORMAT else f"{path.name} says {said}"
        tally.add("manifest of this version", wrong)
    for path, contract in _tables(workspace.run):
        for value in (*READ, *NEWER, *NONE):
            _plant_one(path, contract, value, tally)
    prompts, verdicts = workspace.run / "prompts", workspace.run / "verdicts/phrases/m"
    for value, said in ((NEWER[0], "a newer version"), ("x", "which is none")):
        with _planted(prompts.with_suffix(".json"), value):
            planned = workspace.snakemake("--dry-run")
        tally.add("run of another version, planned", _wrong_end(planned, said))
        with _planted(verdicts.with_suffix(".json"), value):
            asked = ("--cores", "1", "--forcerun", "stability", "--", "all_stability")
            ended = workspace.snakemake(*asked)
        tally.add("file of another version, read by a job", _wrong_end(ended, said))
    whole = workspace.snakemake("--cores", "2", "all_tables")
    tally.add("the run as it was before", None if whole.returncode == 0 else whole.stderr[-500:])


def _plant_one(path: Path, contract: type, value: object, tally: Tally) -> None:
    with _planted(path.with_suffix(".json"), value):
        wrong = _wrong_reading(path, contract)
    # True is 1 for Python, and for no manifest.
    if value in READ and value is not True:
        tally.add("format that is read", wrong)
    else:
        expected = "a newer version wrote it" if value in NEWER else "which is none"
        right = wrong is not None and expected in wrong and "\n" not in wrong
        tally.add("format that is refused", None if right else f"{value!r}: {wrong}")


@contextmanager
def _planted(manifest: Path, value: object) -> Iterator[None]:
    before = manifest.read_text(encoding="utf-8")
    content = json.loads(before)
    del content["format"]
    if value is not None:
        content["format"] = value
    manifest.write_text(json.dumps(content), encoding="utf-8")
    try:
        yield
    finally:
        manifest.write_text(before, encoding="utf-8")


def _tables(run: Path) -> list[tuple[Path, type]]:
    return [(path, of) for pattern, of in CONTRACTS.items() for path in sorted(run.glob(pattern))]


def _wrong_reading(path: Path, contract: type) -> str | None:
    try:
        storage.read_parquet(path, contract)
    except RefusalStabilityError as error:
        return str(error)
    return None


def _wrong_end(ended: subprocess.CompletedProcess[str], said: str) -> str | None:
    lines = [line for line in ended.stderr.splitlines() if line.startswith("error: ")]
    right = ended.returncode != 0 and len(lines) == 1 and said in lines[0]
    return None if right and "Traceback" not in ended.stderr else ended.stderr[-800:]


if __name__ == "__main__":
    main()
