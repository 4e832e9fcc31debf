"""Do the intervals of judge_agreement and judge_noise, experiments, hold a planted truth?

    .venv/bin/python tests/benchmarks/judge_experiments_coverage.py [--studies 200]

The simulated studies are those of the unit tests; there, few of each.
"""

import argparse
import sys
import warnings
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [
    str(ROOT / part) for part in ("workflow/scripts", "tests", "tests/unit/experiments")
]

import judge_agreement.test_analysis as agreement  # noqa: E402
import judge_noise.test_analysis as noise  # noqa: E402

PLANTED = {
    "no noise": {"wavering": 0.3, "noisy": 0, "error": 0},
    "noise only, 2% of every text": {"wavering": 0, "noisy": 1, "error": 0.02},
    "noise only, 30% of 3% of texts": {"wavering": 0, "noisy": 0.03, "error": 0.3},
    "both, 30% of 3% of texts": {"wavering": 0.3, "noisy": 0.03, "error": 0.3},
    "both, 3% of a third of texts": {"wavering": 0.3, "noisy": 1 / 3, "error": 0.03},
    "both, 40% of 10% of texts": {"wavering": 0.3, "noisy": 0.1, "error": 0.4},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=200)
    studies = parser.parse_args().studies
    warnings.simplefilter("ignore", RuntimeWarning)
    for name, planted in PLANTED.items():
        found = noise.coverage(studies, **planted)
        print(name, {key: round(value, 3) for key, value in found.items()}, flush=True)
    for error in (0.02, 0.05, 0.1):
        found = agreement.coverage(error, studies, 400)
        for name in ("agreement", "kappa"):
            print(error, name, [round(value, 3) for value in found[name]], flush=True)


if __name__ == "__main__":
    main()
