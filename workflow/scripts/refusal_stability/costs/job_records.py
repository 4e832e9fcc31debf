"""What finished jobs asked and what that took: their manifests and benchmark files.

Only the standard library: it is read while a run is planned.
"""

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# What makes no request longer or dearer: who is asked, and how the answers are delivered.
_IRRELEVANT = {
    "name",
    "api_key_env",
    "batch",
    "max_concurrency",
    "requests_per_minute",
    "timeout",
    "max_retries",
}
# What says the same as its absence; some manifests have it, and some are older than the key.
_IMPLIED = {
    "kind": "vllm",
    "answer": "constrained",
    "nodes": 1,
    "determinism": "default",
    "allow_pickle": False,
}
# The folder of a run in which each experiment has one, laid out as a run.
_EXPERIMENTS = "experiments"
# Where a manifest has the hash of the file that a judge follows.
_FOLLOWED = ("rubric_sha256", "classifier_sha256", "phrases_sha256")
# Kinds of judges that read and write nothing token by token.
WITHOUT_TOKENS = ("string_match", "human")


@dataclass(frozen=True)
class Job:
    """One finished job of generation or judging; what its files do not say is None."""

    run: str
    # Settings of the model or judge, and what makes two jobs comparable.
    entry: dict[str, Any]
    kind: str
    device: str | None
    # Requests: prompts of a cell, distinct pairs of a judge.
    calls: int
    # Those of them whose tokens are counted: what a cache gave cost a model or judge with weights
    # nothing, while all that came from an API was paid for, if by an earlier attempt.
    paid_calls: int
    # The responses that a judge labels with these; those of a cell are its calls.
    responses: int
    n_invalid: int | None
    input_tokens: int | None
    output_tokens: int | None
    # The whole job, and the part of it in which the engine answered.
    seconds: float | None
    engine_seconds: float | None
    # Calls that were made in these seconds: a judge behind an API pays for none twice.
    timed_calls: int
    modified: float
    # What tells the job of a shared engine from others that made cells of the same model.
    engine_job: float | None = None

    @property
    def gpu_hours(self) -> float | None:
        """GPUs held, times hours; 0 without a GPU, however long it took."""
        gpus = gpus_of(self.entry)
        if gpus == 0:
            return 0.0
        return None if self.seconds is None else gpus * self.seconds / 3600


def gpus_of(entry: dict[str, Any]) -> int:
    """Return the GPUs that a job of a model or judge holds, on all its nodes."""
    return entry.get("gpus", 0) * entry.get("nodes", 1)


def kind_of(
    entry: dict[str, Any], run: Path, sharing: str, instructions_sha256: str | None = None
) -> str:
    """Return a text that is equal for jobs that can be compared, whatever their run and name.

    Args:
        entry: settings of a model or judge, as its jobs are told or as a manifest has them.
        run: the folder of the run, in which demo models lie.
        sharing: whether an engine serves one "cell" or all of a "model"; an API is not shared.
        instructions_sha256: hash of the file that a judge follows.
    """
    run = _main_run(run)
    relevant = {
        key: value
        for key, value in entry.items()
        if key not in _IRRELEVANT and _IMPLIED.get(key) != value
    }
    if "weights" in relevant:
        relevant["weights"] = relevant["weights"].removeprefix(f"{run}/")
    if "weights" not in relevant:
        sharing = "cell"
    return json.dumps([relevant, sharing, instructions_sha256], sort_keys=True)


def cell_job(run: Path, model: str, cell: str) -> Job | None:
    """Return the job of a cell, such as "T0.7_seed42"; None if its manifest cannot be read."""
    path = run / "responses" / model / f"{cell}.json"
    manifest = _manifest(path, "model", "count")
    if manifest is None:
        return None
    seconds = _seconds(manifest, run / "benchmarks/generate" / model / f"{cell}.tsv")
    kind = kind_of(manifest["model"], run, _sharing(manifest))
    return _job(path, run, manifest["model"], kind, manifest, manifest["count"], seconds)


def judge_job(run: Path, judge: str, model: str) -> Job | None:
    """Return the job of a judge on a model; None if its manifest cannot be read."""
    path = run / "verdicts" / judge / f"{model}.json"
    manifest = _manifest(path, "judge", "count")
    if manifest is None:
        return None
    seconds = _seconds(manifest, run / "benchmarks/judge" / judge / f"{model}.tsv")
    followed = next((manifest[key] for key in _FOLLOWED if key in manifest), None)
    kind = kind_of(manifest["judge"], run, _sharing(manifest), followed)
    # A person is not called.
    calls = manifest.get("distinct_pairs", 0)
    return _job(path, run, manifest["judge"], kind, manifest, calls, seconds)


def results_of(run: Path) -> Path:
    """Return the folder of all runs, of a run or of an experiment of one."""
    return _main_run(run).parent


def all_cells(results: Path) -> Iterator[tuple[str, Job]]:
    """Yield (name of the model, job) of every cell of every run in the folder ``results``."""
    for path in _in_runs(results, "responses/*/T*_seed*.json"):
        job = cell_job(path.parents[2], path.parent.name, path.stem)
        if job:
            yield path.parent.name, job


def all_judgements(results: Path) -> Iterator[tuple[str, Job]]:
    """Yield (name of the judged model, job) of every judge's job in ``results``."""
    for path in _in_runs(results, "verdicts/*/*.json"):
        job = judge_job(path.parents[2], path.parent.name, path.stem)
        if job:
            yield path.stem, job


def _in_runs(results: Path, pattern: str) -> list[Path]:
    # Experiments have cells of their own, which say as much.
    both = (f"*/{pattern}", f"*/{_EXPERIMENTS}/*/{pattern}")
    return sorted(path for each in both for path in results.glob(each))


def _main_run(run: Path) -> Path:
    return run.parents[1] if run.parent.name == _EXPERIMENTS else run


def _job(
    path: Path,
    run: Path,
    entry: dict[str, Any],
    kind: str,
    manifest: dict[str, Any],
    calls: int,
    seconds: float | None,
) -> Job:
    tokens = 0 if entry.get("kind") in WITHOUT_TOKENS else None
    asked = manifest.get("asked", calls)
    return Job(
        run=run.relative_to(results_of(run)).as_posix(),
        entry=entry,
        kind=kind,
        device=manifest.get("device"),
        calls=calls,
        paid_calls=asked if "weights" in entry else calls,
        responses=manifest["count"],
        n_invalid=sum(manifest["invalid"].values()) if "invalid" in manifest else None,
        input_tokens=manifest.get("input_tokens", tokens),
        output_tokens=manifest.get("output_tokens", tokens),
        seconds=seconds,
        engine_seconds=manifest.get("engine_seconds"),
        timed_calls=asked,
        modified=path.stat().st_mtime,
        engine_job=manifest.get("job_started"),
    )


def _manifest(path: Path, *keys: str) -> dict[str, Any] | None:
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    known = isinstance(manifest, dict) and all(key in manifest for key in keys)
    return manifest if known else None


def _sharing(manifest: dict[str, Any]) -> str:
    # Manifests are older than the word.
    return manifest.get("sharing", "cell")


def _seconds(manifest: dict[str, Any], path: Path) -> float | None:
    """The wall time of a job, or its share of a shared engine's; None where nothing says it."""
    if "job_seconds" in manifest:
        return manifest["job_seconds"]
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return float(next(csv.DictReader(file, delimiter="\t"))["s"])
    except (OSError, StopIteration, KeyError, TypeError, ValueError):
        return None
