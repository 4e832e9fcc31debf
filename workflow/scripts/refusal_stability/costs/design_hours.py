"""How long a design takes that a run has not tried, by the rates of jobs like its own."""

from collections.abc import Sequence
from pathlib import Path

from refusal_stability.costs.amounts import EXACTLY_NOTHING, UNKNOWN, Amount
from refusal_stability.costs.job_records import (
    all_cells,
    all_judgements,
    cell_job,
    gpus_of,
    judge_job,
    results_of,
)
from refusal_stability.costs.rates import distinct_share, rate_of


class DesignHours:
    """Hours of generating and judging; of a run of labels, and where no job is like it, unknown."""

    def __init__(self, run: Path, cells: Sequence[str], temperatures: int):
        """Take a run, or an experiment of one.

        Args:
            run: its folder.
            cells: those of each model, such as "T0.7_seed42".
            temperatures: how many a design has.
        """
        self.run = run
        self.cells = cells
        self.temperatures = temperatures
        self._cells = list(all_cells(results_of(run)))
        self._judgements = list(all_judgements(results_of(run)))

    def __call__(
        self, judge: str, models: Sequence[str], prompts: int, seeds: int
    ) -> tuple[float | None, float | None]:
        """Return hours, one job after another, and GPU-hours of some models under one judge."""
        hours, gpu_hours = EXACTLY_NOTHING, EXACTLY_NOTHING
        jobs = self.temperatures * seeds
        for model in models:
            for part, gpus in (
                self._generating(model, jobs, prompts),
                self._judging(judge, model, jobs * prompts),
            ):
                hours += part
                gpu_hours += part * Amount(gpus)
        return tuple(
            None if total == UNKNOWN or total.value != total.value else total.value
            for total in (hours, gpu_hours)
        )

    def _generating(self, model: str, jobs: int, prompts: int) -> tuple[Amount, int]:
        own = next(filter(None, (cell_job(self.run, model, cell) for cell in self.cells)), None)
        if own is None:
            return UNKNOWN, 1
        rate = rate_of(job for _, job in self._cells if job.kind == own.kind)
        return rate.hours(jobs, Amount(jobs * prompts)), gpus_of(own.entry)

    def _judging(self, judge: str, model: str, responses: int) -> tuple[Amount, int]:
        own = judge_job(self.run, judge, model)
        if own is None:
            return UNKNOWN, 1
        if own.entry.get("kind") == "human":
            # A person's hours are nobody's to compute.
            return EXACTLY_NOTHING, 0
        like = [job for _, job in self._judgements if job.kind == own.kind]
        calls = Amount(responses) * distinct_share([own])
        return rate_of(like).hours(1, calls), gpus_of(own.entry)
