"""What a job and a call are expected to take, by finished jobs that are comparable."""

from collections.abc import Iterable
from dataclasses import dataclass

from refusal_stability.costs.amounts import UNKNOWN, Amount, Certainty
from refusal_stability.costs.job_records import Job


@dataclass(frozen=True)
class Rate:
    """Means over comparable jobs, and whose they are."""

    jobs: int
    runs: tuple[str, ...]
    device: str | None
    # Tokens of a call that is paid for.
    input_tokens: Amount
    output_tokens: Amount
    # Seconds of a job beside its calls, or of a shared engine's, and of a call.
    start_seconds: Amount
    call_seconds: Amount

    def hours(self, starts: int, calls: Amount) -> Amount:
        """Return the hours of so many starts of an engine with so many calls in all."""
        seconds = Amount(starts) * self.start_seconds + calls * self.call_seconds
        return seconds * Amount(1 / 3600)


NO_RATE = Rate(0, (), None, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN)


def rate_of(jobs: Iterable[Job]) -> Rate:
    """Return the rate of comparable jobs: of the newest one's device, if there are several.

    The engine's seconds grow with the calls, the rest of a job does not; where its manifest is
    from before they were told apart, all seconds count as those of the calls.
    """
    jobs = sorted(jobs, key=lambda job: job.modified)
    jobs = [job for job in jobs if job.device == jobs[-1].device and job.paid_calls]
    if not jobs:
        return NO_RATE
    timed = [job for job in jobs if job.seconds is not None and job.timed_calls]
    split = [job for job in timed if job.engine_seconds is not None]
    if split:
        starts = {job.engine_job or number for number, job in enumerate(split)}
        start = sum(job.seconds - job.engine_seconds for job in split) / len(starts)
        each = _mean((job.engine_seconds, job.timed_calls) for job in split)
    else:
        start, each = 0.0, _mean((job.seconds, job.timed_calls) for job in timed)
    return Rate(
        jobs=len(jobs),
        runs=tuple(dict.fromkeys(job.run for job in jobs)),
        device=jobs[-1].device,
        input_tokens=_mean((job.input_tokens, job.paid_calls) for job in jobs),
        output_tokens=_mean((job.output_tokens, job.paid_calls) for job in jobs),
        start_seconds=Amount(start, Certainty.MEASURED) if timed else UNKNOWN,
        call_seconds=each,
    )


def distinct_share(jobs: Iterable[Job]) -> Amount:
    """Return the share of responses that judges were asked about, each distinct pair once."""
    jobs = list(jobs)
    responses = sum(job.responses for job in jobs)
    if not responses:
        return Amount(1, Certainty.AT_MOST)
    return Amount(sum(job.calls for job in jobs) / responses, Certainty.MEASURED)


def _mean(pairs: Iterable[tuple[float | None, int]]) -> Amount:
    """The sum of the first over that of the second, where there is a first."""
    known = [(total, calls) for total, calls in pairs if total is not None]
    if not known:
        return UNKNOWN
    return Amount(sum(t for t, _ in known) / sum(calls for _, calls in known), Certainty.MEASURED)
