"""The plan of a run as a text for a terminal: a table, and what its signs mean."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from refusal_stability.api import budget
from refusal_stability.costs.amounts import Amount, Certainty
from refusal_stability.costs.plan import Plan, Work, total

# What asks models and judges; other rules are cheap.
_ASKING = ("generate", "judge")
_HEADER = (
    "stage",
    "model",
    "judge",
    "jobs",
    "done",
    "calls",
    "input tokens",
    "output tokens",
    "hours",
    "GPU-hours",
)
_TEXT_COLUMNS = 3


def plan_text(settings: dict[str, Any], plan: Plan, pending: dict[str, str]) -> str:
    """Return the text.

    Args:
        settings: see :func:`costs.plan.make_plan`; besides, `config`, its files,
            `calls`, the file that counts those of APIs, and, if given, `budget`.
        plan: the plan.
        pending: {file that Snakemake would make: its rule}.
    """
    currency = settings.get("prices", {}).get("currency", "money")
    lines = [*_heading(settings, plan), ""]
    works = [*plan.works, total(plan.works)]
    lines += _table([(*_HEADER, currency), *map(_row, works)])
    lines += ["", *_explanations(settings, plan, works)]
    lines += _budget(settings, plan)
    others = [rule for rule in pending.values() if not rule.startswith(_ASKING)]
    if others:
        lines.append(f"Besides, at no such cost: {', '.join(sorted(set(others)))}.")
    if not pending:
        lines.append(f"Everything is done. What it did cost: {settings['run']}/tables/cost.csv")
    lines.append("Experiments are no part of it: what each asks besides is in docs/experiments.md.")
    return "\n".join(lines)


def _heading(settings: dict[str, Any], plan: Plan) -> Iterable[str]:
    models, temperatures, seeds, judges = (
        f"{len(settings[key])} {key if len(settings[key]) != 1 else key[:-1]}"
        for key in ("models", "temperatures", "seeds", "judges")
    )
    yield f"Plan of {settings['run']}, by {settings['config']}: what is still to be done"
    prompts = plan.prompts
    if prompts.certainty is Certainty.UNKNOWN:
        yield (
            "The number of prompts is not known before they are read. Hint: `snakemake "
            "all_prompts` reads them; a prompts.limit bounds it"
        )
    count = {
        Certainty.EXACT: f"{prompts.text()} prompts (from {plan.prompts_from})",
        Certainty.AT_MOST: f"at most {prompts.value:,.0f} prompts (from {plan.prompts_from})",
    }.get(prompts.certainty, "? prompts")
    yield f"{count} x {models} x {temperatures} x {seeds}, {judges}"


def _row(work: Work) -> tuple[str, ...]:
    money = "no price" if work.money is None else work.money.text(2)
    return (
        work.stage,
        work.model,
        work.judge,
        f"{work.jobs:,}",
        f"{work.done:,}",
        work.calls.text(),
        work.input_tokens.text(),
        work.output_tokens.text(),
        work.hours.text(2),
        work.gpu_hours.text(2),
        money,
    )


def _table(rows: list[tuple[str, ...]]) -> Iterable[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for number, row in enumerate(rows):
        if number in (1, len(rows) - 1):
            yield "-" * (sum(widths) + 2 * (len(widths) - 1))
        cells = [
            cell.ljust(width) if column < _TEXT_COLUMNS else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()


def _explanations(settings: dict[str, Any], plan: Plan, works: list[Work]) -> Iterable[str]:
    amounts: list[Amount] = [
        amount
        for work in works
        for amount in (work.calls, work.input_tokens, work.output_tokens, work.hours)
    ]
    certainties = {amount.certainty for amount in amounts}
    yield "done: Snakemake has no reason to run these jobs again. hours: of all jobs, in a row."
    if Certainty.MEASURED in certainties or any(w.jobs and w.rate.jobs for w in plan.works):
        yield "~  expected, from the same settings in earlier jobs:"
        for work in plan.works:
            if work.jobs and work.rate.jobs:
                of = f"{work.judge} on {work.model}" if work.judge else work.model
                yield f"     {of}: {_origin(work)}"
        yield "   Few prompts fill no GPU: a plan by a small pilot's rates is rather too dear."
        yield from _shares(plan)
    if Certainty.AT_MOST in certainties:
        yield "<= at most: by max_tokens, max_model_len and prompts.limit, if nothing is measured"
    if Certainty.UNKNOWN in certainties:
        yield "?  not known: nothing of these settings has run yet."
        yield (
            "   Hint: a pilot of 50 prompts leaves rates for this plan: snakemake --configfile "
            f"{settings['config']} --cores 8 --resources gpu=1 -- pilot"
        )
    if any(work.money is None for work in works):
        yield "no price: give `prices` in the configuration, see config/README.md"


def _budget(settings: dict[str, Any], plan: Plan) -> Iterable[str]:
    """What is left of a budget, and whether that is enough."""
    if "budget" not in settings:
        return
    most, sent = settings["budget"]["calls"], budget.sent(Path(settings["calls"]))
    models, judges = (
        {entry["name"] for entry in settings[key] if "model" in entry}
        for key in ("models", "judges")
    )
    calls = sum(
        (w.calls for w in plan.works if (w.judge in judges if w.judge else w.model in models)),
        Amount(),
    )
    yield (
        f"budget.calls: {max(most - sent, 0):,} of {most:,} calls of APIs are left; planned: "
        f"{calls.text()}, plus one a job and retries"
    )
    if calls.certainty is not Certainty.UNKNOWN and calls.value > most - sent:
        yield (
            "   warning: that is too few: the run would stop there, with every answer kept. "
            "Hint: raise budget.calls, or ask fewer prompts"
        )


def _origin(work: Work) -> str:
    rate = work.rate
    device = f" on {rate.device}" if rate.device else ""
    start = f"{rate.start_seconds.value:.1f} s to start, " if rate.start_seconds.value > 0 else ""
    seconds = rate.call_seconds.text(3).strip("~")
    tokens_in, tokens_out = (
        tokens.text(1).strip("~") for tokens in (rate.input_tokens, rate.output_tokens)
    )
    return (
        f"{rate.jobs} job(s) of {', '.join(rate.runs)}{device}; {start}{seconds} s, "
        f"{tokens_in} tokens in, {tokens_out} out a call"
    )


def _shares(plan: Plan) -> Iterable[str]:
    known = {
        model: share
        for model, share in plan.distinct_shares.items()
        if share.certainty is Certainty.MEASURED
    }
    if known:
        shares = ", ".join(f"{model} {share.value:.0%}" for model, share in known.items())
        yield (
            "   Equal replies to a prompt are judged once. Distinct in earlier runs (more seeds "
            f"give fewer): {shares}"
        )
