"""The plan of a run, before anything is spent: jobs, calls, tokens, GPU-hours and money.

Nothing is guessed. A number is exact, or expected from comparable jobs of any run that lies in
results/, or an upper bound, or not known. Only the standard library and yaml at import.
"""

import hashlib
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from refusal_stability.core.cells import cell_name
from refusal_stability.core.errors import InputError
from refusal_stability.costs import prices, rates
from refusal_stability.costs.amounts import EXACTLY_NOTHING, UNKNOWN, Amount, Certainty
from refusal_stability.costs.job_records import (
    WITHOUT_TOKENS,
    Job,
    all_cells,
    all_judgements,
    gpus_of,
    judge_job,
    kind_of,
)
from refusal_stability.costs.prompt_count import prompt_count
from refusal_stability.hub.weights import label, pinned
from refusal_stability.judging.classifier_files import read_classifier
from refusal_stability.settings.judges import (
    CONSTRAINED_ANSWER_TOKENS,
    instructions_file,
    with_defaults,
)


@dataclass(frozen=True)
class Work:
    """What one model, or one judge on one model, has to do; and how many of its jobs are done."""

    stage: str
    model: str
    judge: str
    jobs: int
    done: int
    calls: Amount
    input_tokens: Amount
    output_tokens: Amount
    hours: Amount
    gpu_hours: Amount
    # None where there is no price for it.
    money: Amount | None
    # What the expectations are from.
    rate: rates.Rate


@dataclass(frozen=True)
class Plan:
    """All work of a run, and the number of prompts behind it."""

    prompts: Amount
    prompts_from: str
    works: list[Work]
    # By model: which share of its responses are distinct, and so are judged.
    distinct_shares: dict[str, Amount]


class _Earlier:
    """The finished jobs of all runs, by what makes them comparable."""

    def __init__(self, results: Path) -> None:
        self.cells: defaultdict[str, list[Job]] = defaultdict(list)
        self.of_judge: defaultdict[str, list[Job]] = defaultdict(list)
        self.of_judged: defaultdict[str, list[Job]] = defaultdict(list)
        self.of_both: defaultdict[tuple[str, str], list[Job]] = defaultdict(list)
        kinds: dict[tuple[str, str], str] = {}
        for model, job in all_cells(results):
            self.cells[job.kind].append(job)
            kinds[job.run, model] = job.kind
        for model, job in all_judgements(results):
            self.of_judge[job.kind].append(job)
            judged = kinds.get((job.run, model), "")
            if job.calls:
                self.of_judged[judged].append(job)
            self.of_both[job.kind, judged].append(job)


def make_plan(settings: dict[str, Any], pending: set[str]) -> Plan:
    """Return the plan of a run.

    Args:
        settings: `run` (the run's folder), `prompts`, `models` and `judges` (as their jobs are
            told), `temperatures` (as they stand in paths), `seeds`, `sharing` (of engines) and, if
            given, `prices`.
        pending: the files that Snakemake would make, or make again.

    Raises:
        InputError: a file of prompts or of a classifier cannot be read.
    """
    run, sharing = Path(settings["run"]), settings["sharing"]
    # Manifests have the commit that a branch stood for.
    models, judges = (
        [_pinned(entry, run) for entry in entries]
        for entries in (settings["models"], map(with_defaults, settings["judges"]))
    )
    earlier = _Earlier(run.parent)
    # What is to be made again says nothing of the prompts to come.
    made = None if f"{run}/prompts.parquet" in pending else run / "prompts.json"
    prompts, prompts_from = prompt_count(settings["prompts"], made)
    cells = {
        model["name"]: [
            f"{run}/responses/{model['name']}/{cell_name(temperature, seed)}.parquet"
            for temperature in settings["temperatures"]
            for seed in settings["seeds"]
        ]
        for model in models
    }
    works = []
    for model in models:
        paths = cells[model["name"]]
        jobs = sum(path in pending for path in paths)
        works.append(
            _work(
                ("generate", model["name"], ""),
                (jobs, len(paths) - jobs),
                Amount(jobs) * prompts,
                rates.rate_of(earlier.cells[kind_of(model, run, sharing)]),
                model["max_tokens"],
                model,
                settings,
                starts=min(jobs, 1) if sharing == "model" and "weights" in model else jobs,
            )
        )
    shares = {
        model["name"]: rates.distinct_share(earlier.of_judged[kind_of(model, run, sharing)])
        for model in models
    }
    for judge in judges:
        kind = kind_of(judge, run, sharing, _sha256(instructions_file(judge)))
        for model in models:
            name = model["name"]
            jobs = int(f"{run}/verdicts/{judge['name']}/{name}.parquet" in pending)
            # A person is not called.
            responses = Amount(len(cells[name]) * (judge["kind"] != "human")) * prompts
            if "model" in judge and prompts.certainty is Certainty.EXACT:
                done = sum(path not in pending for path in cells[name])
                paid = _paid(judge_job(run, judge["name"], name), kind, done * prompts.value)
                responses = Amount(responses.value - paid)
            both = earlier.of_both[kind, kind_of(model, run, sharing)]
            works.append(
                _work(
                    ("judge", name, judge["name"]),
                    (jobs, 1 - jobs),
                    Amount(jobs) * responses * shares[name],
                    rates.rate_of(both or earlier.of_judge[kind]),
                    _answer_tokens(judge),
                    judge,
                    settings,
                    starts=jobs,
                )
            )
    return Plan(prompts, prompts_from, works, shares)


def total(works: list[Work]) -> Work:
    """Return the sum of all work; the hours are those of all jobs, one after the other."""

    def add(name: str) -> Any:
        return sum((getattr(work, name) for work in works), type(getattr(works[0], name))())

    names = ("jobs", "done", "calls", "input_tokens", "output_tokens", "hours", "gpu_hours")
    priced = all(work.money is not None for work in works)
    money = sum((work.money for work in works), Amount()) if priced else None
    return Work(
        "total", "", "", **{name: add(name) for name in names}, money=money, rate=rates.NO_RATE
    )


def _work(
    names: tuple[str, str, str],
    jobs: tuple[int, int],
    calls: Amount,
    rate: rates.Rate,
    output_limit: int,
    entry: dict[str, Any],
    settings: dict[str, Any],
    starts: int,
) -> Work:
    """One row: by what was measured, else by what a call may take at most."""
    if entry.get("kind") in WITHOUT_TOKENS:
        tokens = [EXACTLY_NOTHING, EXACTLY_NOTHING]
    else:
        # An engine refuses a longer message; how long it may be for an API is not known.
        most = UNKNOWN
        if "max_model_len" in entry:
            most = Amount(entry["max_model_len"] - output_limit, Certainty.AT_MOST)
        limits = (most, Amount(output_limit, Certainty.AT_MOST))
        tokens = [
            calls * (limit if measured.certainty is Certainty.UNKNOWN else measured)
            for measured, limit in zip((rate.input_tokens, rate.output_tokens), limits, strict=True)
        ]
    hours = rate.hours(starts, calls)
    gpu_hours = hours * Amount(gpus_of(entry))
    return Work(
        *names,
        *jobs,
        calls,
        *tokens,
        hours,
        gpu_hours,
        prices.money(settings.get("prices", {}), entry, gpu_hours, *tokens),
        rate,
    )


def _pinned(entry: dict[str, Any], run: Path) -> dict[str, Any]:
    """The entry with the commit that was last fetched for it, in any run, as its revision."""
    if "weights" not in entry:
        return entry
    name = f"{label(entry['weights'], entry.get('revision'))}.json"
    records = [folder / name for folder in run.parent.glob("*/weights")]
    fetched = sorted((r for r in records if r.is_file()), key=lambda r: r.stat().st_mtime)
    return pinned(entry, fetched[-1]) if fetched else entry


def _paid(job: Job | None, kind: str, responses: float) -> float:
    """The responses whose verdicts a judge behind an API gave before: they are kept."""
    return min(job.responses, responses) if job and job.kind == kind else 0


def _answer_tokens(judge: dict[str, Any]) -> int:
    """The most tokens of an answer."""
    if "classifier" in judge:
        path = Path(judge["classifier"])
        try:
            return read_classifier(path.read_text(encoding="utf-8"), path).max_tokens
        except UnicodeDecodeError as error:
            raise InputError(f"{path}: not UTF-8 text. Hint: save the file as UTF-8") from error
    if judge["kind"] == "vllm" and judge["answer"] == "constrained":
        return CONSTRAINED_ANSWER_TOKENS
    return judge.get("max_tokens", 0)


def _sha256(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()
