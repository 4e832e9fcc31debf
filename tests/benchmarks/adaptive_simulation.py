"""Is the adaptive estimate free of bias, does its interval cover, and what does it save?

    .venv/bin/python tests/benchmarks/adaptive_simulation.py [--studies 1000] [--labels FILE ...]

Simulated studies of known prompts are carried out in full and adaptively. With label files, the
labels of their prompts take the simulated ones' place: each study draws as many of these prompts
and puts their seeds into an order of its own, and the truth is the mean over all of them.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "workflow/scripts"))

import yaml

from refusal_stability.experiments.adaptive.estimator import (
    MEASURES,
    audited,
    measure_of,
    of_first_phase,
    settled,
    two_phase,
)
from refusal_stability.imported_labels.load import load_labels
from refusal_stability.statistics.run_arrays import grid_of

ROOT = Path(__file__).parents[2]
PROMPTS, SEEDS = 300, 5
TEMPERATURES = (0.0, 0.3, 0.7, 1.0)
# (first seeds, share of settled prompts that is audited)
DESIGNS = ((1, 0.3), (2, 0.1), (2, 0.3), (2, 0.5))
# Shares of labels at T = 1: most prompts are nearly sure of one, in whichever proportion.
CONCENTRATION = (0.25, 0.06, 0.04)
# A study: labels of its prompts, (prompts, temperatures, seeds).
Study = Callable[[np.random.Generator], np.ndarray]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--labels", type=Path, nargs="*", default=[])
    args = parser.parse_args()
    report("simulated", drawn, drawn(np.random.default_rng(0), 100_000), args.studies)
    for name, labels in published(args.labels):
        report(name, lambda rng, of=labels: redrawn(rng, of), labels, args.studies)


def report(name: str, study: Study, population: np.ndarray, studies: int) -> None:
    """Print a row a design and measure: bias, coverage, and what is saved at equal width."""
    print(f"\n{name}: {studies} studies of {PROMPTS} prompts, {population.shape[1]} temperatures")
    print("first audit measure            truth  naive bias    bias  naive covers  covers  saved")
    for first, share in DESIGNS:
        found = {measure: [] for measure in MEASURES}
        for number in range(studies):
            rng = np.random.default_rng([number, first])
            labels = study(rng)
            is_settled = settled(labels[..., :first])
            asked = ~is_settled | audited(is_settled, share, number)
            spent = first / SEEDS + asked.mean() * (1 - first / SEEDS)
            for measure, rows in found.items():
                of_first = of_first_phase(labels[..., :first], is_settled, measure)
                full = np.where(asked, measure_of(labels, measure), np.nan)
                result = two_phase(of_first, full, is_settled, measure)
                rows.append((result, spent))
        for measure, rows in found.items():
            truth = np.nanmean(measure_of(population, measure))
            naive, corrected = (
                np.array([(r[k].value, r[k].low <= truth <= r[k].high) for r, _ in rows])
                for k in ("naive", "corrected")
            )
            # A full study of 1 / width_ratio^2 as many prompts is as precise.
            saved = np.mean([1 - spent * r["width_ratio"] ** 2 for r, spent in rows])
            print(
                f"{first:5} {share:5} {measure:17} {truth:6.4f}  "
                f"{naive[:, 0].mean() - truth:+10.4f}  {corrected[:, 0].mean() - truth:+6.4f}  "
                f"{naive[:, 1].mean():12.3f}  {corrected[:, 1].mean():6.3f}  {saved:5.2f}"
            )


def drawn(rng: np.random.Generator, prompts: int = PROMPTS) -> np.ndarray:
    """Labels of simulated prompts: a temperature sharpens the shares at T = 1."""
    with np.errstate(divide="ignore"):
        logs = np.log(rng.dirichlet(CONCENTRATION, prompts))
    labels = np.empty((prompts, len(TEMPERATURES), SEEDS), dtype=np.uint8)
    for at, temperature in enumerate(TEMPERATURES):
        if temperature == 0:
            labels[:, at] = logs.argmax(axis=1)[:, None]
            continue
        noise = rng.gumbel(size=(prompts, SEEDS, 3))
        labels[:, at] = (logs[:, None] / temperature + noise).argmax(axis=-1)
    return labels


def redrawn(rng: np.random.Generator, labels: np.ndarray) -> np.ndarray:
    """A study of prompts that are drawn from these, seeds in a random order."""
    of = labels[rng.integers(0, len(labels), PROMPTS)]
    return of[..., rng.permutation(labels.shape[-1])]


def published(paths: list[Path]) -> list[tuple[str, np.ndarray]]:
    """Labels of each judge and model in label files."""
    if not paths:
        return []
    config = yaml.safe_load((ROOT / "config/replication.yaml").read_text(encoding="utf-8"))
    aliases = (config.get("model_aliases", {}), config.get("judge_aliases", {}))
    labels = load_labels(paths, *aliases)
    grid = grid_of(
        {(judge, model): table for judge, model, table in labels.verdicts()},
        labels.prompts["prompt_id"].to_list(),
    )
    return [
        (f"{judge}, {model}", grid.labels[judge][place])
        for judge in grid.judges
        for place, model in enumerate(grid.models)
        if grid.judged(judge)[place]
    ]


if __name__ == "__main__":
    main()
