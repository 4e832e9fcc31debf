"""Does a study of the planned size reach the precision that plan_seeds promised?

    .venv/bin/python tests/benchmarks/plan_seeds_coverage.py [--pilots 40] [--studies 50]

Draws pilots of known prompts, plans from each, carries out simulated studies of the planned size,
and prints how wide their intervals are beside the wanted width, how often they hold the truth, and
how often a difference as large as the planned one is found, beside the wanted power.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "workflow/scripts"))

from scipy.special import ndtri

from refusal_stability.experiments.plan_seeds.analysis import (
    MEASURES,
    measured,
    spread,
    variance_with,
)
from refusal_stability.statistics.bootstrap import Resamples, interval

PILOT_PROMPTS, PILOT_SEEDS = 150, 5
SEEDS = (3, 10)
# Most prompts never flip; the others have shares of their own, which a second model moves.
PURE, CONCENTRATION, MOVED = (0.5, 0.05, 0.05), (0.9, 0.4, 0.5), 0.2
WIDTH, POWER = 0.06, 0.8
RESAMPLES = 400


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pilots", type=int, default=40)
    parser.add_argument("--studies", type=int, default=50)
    args = parser.parse_args()
    print(f"{args.pilots} pilots of {PILOT_PROMPTS} prompts x {PILOT_SEEDS} seeds,")
    print(f"{args.studies} studies of each planned size; wanted width {WIDTH}, power {POWER}")
    print("measure            seeds  prompts   width  coverage  power  false alarms")
    for measure in MEASURES:
        for seeds in SEEDS:
            prompts, width, coverage = intervals(measure, seeds, args.pilots, args.studies)
            found, alarms = differences(measure, seeds, args.pilots, args.studies)
            print(
                f"{measure:18} {seeds:5}  {prompts:7.0f}  {width:6.4f}  {coverage:8.3f}  "
                f"{found:5.3f}  {alarms:12.3f}"
            )


def intervals(measure: str, seeds: int, pilots: int, studies: int) -> tuple[float, float, float]:
    """Mean planned number of prompts, mean width of intervals, and their coverage."""
    true = true_value(measure, seeds, moved=False)
    widths, inside, planned = [], [], []
    for number in range(pilots):
        rng = np.random.default_rng([number, seeds])
        pilot = drawn(rng, shares(rng, PILOT_PROMPTS), PILOT_SEEDS)[None]
        _, variances, _ = spread(pilot, measure, number)
        variance, _ = variance_with(variances, seeds, measure)
        prompts = max(2, round((2 * ndtri(0.975) / WIDTH) ** 2 * variance))
        planned.append(prompts)
        # Drawn once for all studies of this size.
        resamples = Resamples(prompts, RESAMPLES, number)
        values = np.stack(
            [
                measured(drawn(rng, shares(rng, prompts), seeds).sum(axis=1), measure)
                for _ in range(studies)
            ]
        )
        low, high = interval(resamples.means(values), np.full(studies, prompts))
        widths.append((high - low).mean())
        inside.append(((low <= true) & (true <= high)).mean())
    return float(np.mean(planned)), float(np.mean(widths)), float(np.mean(inside))


def differences(measure: str, seeds: int, pilots: int, studies: int) -> tuple[float, float]:
    """How often a true difference is found by studies planned for it, and one of nothing."""
    truth = true_value(measure, seeds, moved=False) - true_value(measure, seeds, moved=True)
    found, alarms = [], []
    for number in range(pilots):
        rng = np.random.default_rng([number, seeds, 1])
        _, variances, _ = spread(both(rng, PILOT_PROMPTS, PILOT_SEEDS), measure, number)
        variance, _ = variance_with(variances, seeds, measure)
        prompts = max(2, round(((ndtri(0.975) + ndtri(POWER)) / truth) ** 2 * variance))
        for alike, into in ((False, found), (True, alarms)):
            a, b = np.moveaxis(
                [
                    measured(both(rng, prompts, seeds, alike).sum(axis=2), measure)
                    for _ in range(studies)
                ],
                1,
                0,
            )
            low, high = interval(
                Resamples(prompts, RESAMPLES, number).means(a - b), np.full(studies, prompts)
            )
            into.append(((low > 0) | (high < 0)).mean())
    return float(np.mean(found)), float(np.mean(alarms))


def shares(rng: np.random.Generator, prompts: int) -> np.ndarray:
    """Shares of the labels of each prompt, (prompts, 3)."""
    mixed = rng.dirichlet(CONCENTRATION, prompts)
    kind = rng.choice(4, prompts, p=[*PURE, 1 - sum(PURE)])
    return np.where((kind < 3)[:, None], np.eye(3)[np.minimum(kind, 2)], mixed)


def moved_to_refusal(of: np.ndarray) -> np.ndarray:
    """The shares of a second model, which refuses more."""
    return (1 - MOVED) * of + MOVED * np.array([1.0, 0.0, 0.0])


def drawn(rng: np.random.Generator, of: np.ndarray, seeds: int) -> np.ndarray:
    """One label a seed, as counts, (prompts, seeds, 3)."""
    return rng.multinomial(1, of[:, None], size=(len(of), seeds))


def both(rng: np.random.Generator, prompts: int, seeds: int, alike: bool = False) -> np.ndarray:
    """Two models on the same prompts, (2, prompts, seeds, 3); alike, or the second refuses more."""
    of = shares(rng, prompts)
    return np.stack(
        [drawn(rng, of, seeds), drawn(rng, of if alike else moved_to_refusal(of), seeds)]
    )


def true_value(measure: str, seeds: int, moved: bool) -> float:
    """The expectation of a measure over very many prompts."""
    rng = np.random.default_rng(0)
    of = shares(rng, 400_000)
    counts = rng.multinomial(seeds, moved_to_refusal(of) if moved else of)
    return float(measured(counts, measure).mean())


if __name__ == "__main__":
    main()
