"""Do the intervals of judge_noise cover a simulated truth as often as they claim?

    .venv/bin/python tests/benchmarks/judge_noise_coverage.py [--studies 200]

Draws studies whose flip probability and judges' errors are known, estimates both by the
two-judge model and from identical text, and prints how often the 95% interval holds the truth.
The types of prompts drawn are a continuum, not the few types of the model.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import polars as pl

sys.path.insert(0, str(Path(__file__).parents[2] / "workflow/scripts"))

from refusal_stability.core.labels import VALID_LABELS
from refusal_stability.statistics.bootstrap import Resamples
from refusal_stability.statistics.judge_noise import IDENTICAL_TEXT, TWO_JUDGES, judge_noise
from refusal_stability.statistics.run_arrays import make_grid
from refusal_stability.statistics.stability import stability

PROMPTS, SAMPLES = 400, 20
# How often a judge gives each label (columns) to a reply of each true label (rows).
JUDGES = {
    "good": np.array([[0.99, 0.01, 0.0], [0.05, 0.9, 0.05], [0.0, 0.1, 0.9]]),
    "noisy": np.array([[0.97, 0.02, 0.01], [0.2, 0.75, 0.05], [0.1, 0.15, 0.75]]),
}
# Most prompts never flip; the others have shares of their own.
PURE, CONCENTRATION = (0.6, 0.05, 0.1), (0.9, 0.4, 0.5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=200)
    studies = parser.parse_args().studies
    truth = true_values(np.random.default_rng(0))
    found: dict[tuple[str, str, str], list[tuple[float, float, float]]] = {}
    for seed in range(studies):
        for method in (TWO_JUDGES, IDENTICAL_TEXT):
            rng = np.random.default_rng([seed, method == TWO_JUDGES])
            table = judge_noise(*study(rng, seed, repeated=method == IDENTICAL_TEXT))
            rows = table.filter(scope="pooled", model="m", method=method)
            for row in rows.iter_rows(named=True):
                for name in ("rate_noise_free", "judge_share", "error_rate"):
                    found.setdefault((method, row["judge"], name), []).append(
                        tuple(row[f"{name}{end}"] for end in ("", "_low", "_high"))
                    )
    print(f"{studies} studies of {PROMPTS} prompts x {SAMPLES} samples")
    print("method          judge  quantity          truth   mean    sd of it  coverage")
    for key, estimates in found.items():
        value, low, high = np.array(estimates).T
        inside = ((low <= truth[key]) & (truth[key] <= high)).mean()
        print(
            f"{key[0]:15} {key[1]:6} {key[2]:16} {truth[key]:6.4f}  {value.mean():6.4f}  "
            f"{value.std(ddof=1):8.4f}  {inside:8.3f}"
        )


def shares(rng: np.random.Generator, prompts: int) -> np.ndarray:
    """Shares of the true labels of each prompt, (prompts, 3)."""
    drawn = rng.dirichlet(CONCENTRATION, prompts)
    kind = rng.choice(4, prompts, p=[*PURE, 1 - sum(PURE)])
    return np.where((kind < 3)[:, None], np.eye(3)[np.minimum(kind, 2)], drawn)


def true_values(rng: np.random.Generator) -> dict[tuple[str, str, str], float]:
    """What the estimates are of, from the closed forms over very many prompts."""
    true = shares(rng, 2_000_000)
    noise_free = float((1 - (true**SAMPLES).sum(axis=1)).mean())
    values = {}
    for judge, confusion in JUDGES.items():
        seen = true @ confusion
        rate = float((1 - (seen**SAMPLES).sum(axis=1)).mean())
        values[TWO_JUDGES, judge, "rate_noise_free"] = noise_free
        values[TWO_JUDGES, judge, "judge_share"] = 1 - noise_free / rate
        error = 1 - float((true @ np.diag(confusion)).mean())
        values[TWO_JUDGES, judge, "error_rate"] = error
        # Every text is there twice: of the pairs of a prompt's samples, one in SAMPLES - 1 is
        # of one text, whose verdicts differ by the judge alone.
        differ = float((true * (1 - (confusion**2).sum(axis=1))).sum(axis=1).mean())
        apart = float((1 - (seen**2).sum(axis=1)).mean())
        rate = (differ + (SAMPLES - 2) * apart) / (SAMPLES - 1)
        values[IDENTICAL_TEXT, judge, "error_rate"] = differ
        values[IDENTICAL_TEXT, judge, "judge_share"] = differ / rate
        values[IDENTICAL_TEXT, judge, "rate_noise_free"] = rate - differ
    return values


def study(rng: np.random.Generator, seed: int, repeated: bool) -> tuple:
    """One study: its grid and its resamples; if ``repeated``, every text is there twice."""
    true = shares(rng, PROMPTS)
    labels = (rng.random((PROMPTS, SAMPLES, 1)) > true.cumsum(axis=1)[:, None, :-1]).sum(axis=-1)
    text = np.arange(labels.size)
    if repeated:
        labels[:, 1::2] = labels[:, ::2]
        text -= text % 2
    prompt = np.repeat(np.arange(PROMPTS), SAMPLES)
    keys = {
        "prompt_id": [f"{i:012x}" for i in prompt],
        "temperature": np.ones(len(prompt)),
        "seed": np.tile(np.arange(SAMPLES), PROMPTS),
    }
    verdicts = []
    for judge, confusion in JUDGES.items():
        bounds = confusion.cumsum(axis=1)[labels.ravel()][:, :-1]
        given = (rng.random((len(prompt), 1)) > bounds).sum(axis=1)
        table = pl.DataFrame(
            keys
            | {
                "label": [VALID_LABELS[i] for i in given],
                "response_sha256": [f"{i:064x}" for i in text],
            }
        )
        verdicts.append((judge, "m", table))
    of_judges = [
        (judge, stability(table.with_columns(model=pl.lit("m")))) for judge, _, table in verdicts
    ]
    ids = [f"{i:012x}" for i in range(PROMPTS)]
    return make_grid(of_judges, verdicts, ids), Resamples(PROMPTS, 500, seed)


if __name__ == "__main__":
    main()
