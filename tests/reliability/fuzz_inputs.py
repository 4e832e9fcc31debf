"""Are configurations and files of prompts, whatever stands in them, taken whole or refused whole?

    .venv/bin/python tests/reliability/fuzz_inputs.py [--cases 2000] [--seed 0]

Three in five cases are configurations: each is planned by Snakemake in a dry run. The others are
files of prompts: one in five is planned by Snakemake, the others pass the check that it makes, and
where that takes them, the job that reads them runs. A case is lost if it ends in a traceback, in a
signal, in more or less than one line that begins with "error: ", in a line that is too long to
read, or with half a result. A file that Snakemake cannot read does not come to the workflow: what
it says itself is counted apart.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[2] / "workflow/scripts"))
sys.path.insert(0, str(Path(__file__).parents[1]))

from helpers.workspace import REPOSITORY, Workspace, copy_repository, reduced_config
from reliability.config_cases import KEY_VARIABLE, config_files, make_files
from reliability.forked import Outcome, run_in_fork
from reliability.prompt_cases import prompt_files
from reliability.tally import Tally

_SCHEMA = REPOSITORY / "workflow/schemas/config.schema.yaml"
# Longer than this, nobody reads it.
_MOST_CHARACTERS = 2100
# Snakemake reads the file before it reads the workflow: what it says of one that is no YAML, and
# where its own traceback comes from if the file is no UTF-8 or breaks its reader.
_NO_YAML = ("is not valid JSON or YAML", "must be given as JSON or YAML")
_READER = "in _get_overwrite_config"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    os.environ[KEY_VARIABLE] = "a key"
    with tempfile.TemporaryDirectory() as folder:
        fuzz(args.cases, args.seed, copy_repository(Path(folder))).report()


def fuzz(cases: int, seed_number: int, workspace: Workspace) -> Tally:
    """Try so many cases in a copy of the repository; the same ones for the same seed."""
    tally = Tally("fuzz_inputs")
    configs = cases * 3 // 5
    schema = yaml.safe_load(_SCHEMA.read_text(encoding="utf-8"))
    make_files(workspace.folder)
    _each(config_files(schema), configs, seed_number, lambda text: _config(text, workspace, tally))
    _each(
        st.tuples(prompt_files(), st.integers(0, 4)),
        cases - configs,
        seed_number,
        lambda case: _prompts(*case[0], case[1] == 0, workspace, tally),
    )
    return tally


def _each(
    cases: st.SearchStrategy[Any], count: int, number: int, run: Callable[[Any], None]
) -> None:
    # Each case is tried, and none stops the others: what is lost is counted, not raised.
    @seed(number)
    @settings(
        max_examples=count,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(cases)
    def tried(case: Any) -> None:
        run(case)

    tried()


def _config(text: bytes, workspace: Workspace, tally: Tally) -> None:
    (workspace.folder / "config/fuzz.yaml").write_bytes(text)
    outcome = run_in_fork(_plan("config/fuzz.yaml"), workspace.folder)
    what = "configuration " + ("taken" if outcome.code == 0 else "refused")
    if _READER in outcome.output:
        what, wrong = "configuration refused by Snakemake's reader with a traceback", None
    elif any(f"WorkflowError:\nConfig file {words}" in outcome.output for words in _NO_YAML):
        what, wrong = "configuration refused by Snakemake as no YAML", None
    else:
        wrong = _wrong_plan(outcome)
    loss = wrong or _left_over(workspace)
    tally.add(what, loss and f"{loss}\n{text[:3000]!r}\n{outcome.output[-1500:]}")


def _prompts(name: str, content: bytes, whole: bool, workspace: Workspace, tally: Tally) -> None:
    for old in (path for path in workspace.folder.iterdir() if path.name.lower() in _NAMES):
        old.unlink()
    (workspace.folder / name).write_bytes(content)
    entry = {"source": "file", "path": name}
    if whole:
        config = reduced_config() | {"prompts": entry, "run": "fuzz-run"}
        (workspace.folder / "config/fuzz.yaml").write_text(yaml.safe_dump(config))
        planned = run_in_fork(_plan("config/fuzz.yaml"), workspace.folder)
    else:
        planned = run_in_fork(lambda: _check(entry), workspace.folder)
    loss = _wrong_plan(planned) if whole else _wrong_refusal(planned)
    what = "file of prompts refused by the plan"
    outcome = planned
    if planned.code == 0 and not loss:
        outcome = run_in_fork(lambda: _read(entry), workspace.folder)
        what = "file of prompts " + ("read" if outcome.code == 0 else "refused by the job")
        loss = _wrong_refusal(outcome) or _wrong_result(outcome, workspace)
        shutil.rmtree(workspace.folder / "results", ignore_errors=True)
    tally.add(what, loss and f"{loss}\n{name} {content[:300]!r}\n{outcome.output[-1500:]}")


_NAMES = ("p.csv", "p.jsonl", "p.parquet", "p.txt", "p")
_RESULTS = ("results/prompts.parquet", "results/prompts.json")


def _plan(config: str) -> Callable[[], None]:
    from snakemake.cli import main as snakemake

    arguments = ["--configfile", config, "--dry-run", "--nolock", "--quiet", "rules"]
    return lambda: snakemake(arguments)


def _check(entry: dict[str, str]) -> None:
    from refusal_stability.controller import check_prompts
    from refusal_stability.core import cli
    from refusal_stability.core.errors import ConfigError

    def check() -> None:
        for problem in check_prompts.problems(entry):
            raise ConfigError(problem)

    cli.run(check)


def _read(entry: dict[str, str]) -> None:
    sys.path.insert(0, "workflow/scripts")
    import prompts
    from refusal_stability.core import cli

    sys.argv = ["prompts.py", "--settings", json.dumps(entry), "--output", _RESULTS[0]]
    cli.run(prompts.main)


def _wrong_plan(outcome: Outcome) -> str | None:
    if outcome.code == 0:
        planned = "total" in outcome.output or "Nothing to be done" in outcome.output
        return None if planned else "taken, and nothing was planned"
    return _wrong_refusal(outcome)


def _wrong_refusal(outcome: Outcome) -> str | None:
    """What is wrong with how a case was refused, if it was."""
    lines = [line for line in outcome.output.splitlines() if line.startswith("error: ")]
    if outcome.code < 0:
        return f"ended by signal {-outcome.code}"
    if "Traceback" in outcome.output:
        return "a traceback"
    if outcome.code == 0:
        return "an error, and exit code 0" if lines else None
    if len(lines) != 1:
        return f"{len(lines)} lines that begin with error"
    if len(lines[0]) > _MOST_CHARACTERS:
        return f"a line of {len(lines[0])} characters"
    said = outcome.output.strip().splitlines()
    return None if said[-1] == lines[0] else "more lines after the error"


def _left_over(workspace: Workspace) -> str | None:
    """What a plan has written into the results, if anything."""
    results = workspace.folder / "results"
    if not results.exists():
        return None
    shutil.rmtree(results)
    return "the plan wrote results"


def _wrong_result(outcome: Outcome, workspace: Workspace) -> str | None:
    """What is wrong with the files that reading prompts has left."""
    results = workspace.folder / "results"
    found = sorted(str(path.relative_to(workspace.folder)) for path in results.rglob("*"))
    if outcome.code:
        return f"half a result: {found}" if found else None
    if found != sorted(_RESULTS):
        return f"other files than two: {found}"
    read = run_in_fork(_read_results, workspace.folder)
    return None if read.code == 0 else f"a result that is none: {read.output}"


def _read_results() -> None:
    from refusal_stability.schemas import storage
    from refusal_stability.schemas.stages import Prompts

    output, manifest = map(Path, _RESULTS)
    count = json.loads(manifest.read_text(encoding="utf-8"))["count"]
    assert storage.read_parquet(output, Prompts).height == count > 0


if __name__ == "__main__":
    main()
