"""The benchmarks run, and what two ways of one thing must agree on agrees; small sizes."""

import re
import sys

from helpers.workspace import REPOSITORY, Workspace


def benchmark(workspace: Workspace, name: str, *arguments: str) -> str:
    result = workspace.call(sys.executable, f"tests/benchmarks/{name}.py", *arguments)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_tables_are_those_of_plain_pandas(workspace: Workspace) -> None:
    # Ends of intervals included: both draw the same resamples of the prompts.
    printed = benchmark(workspace, "statistics_ratio", "--prompts", "40", "--repeats", "1")
    assert "2485 numbers are the same in both" in printed


def test_growth_is_measured_and_nothing_is_written_for_a_few_steps(workspace: Workspace) -> None:
    stages = ("prompts", "import_labels", "stability", "cost")
    printed = benchmark(workspace, "growth", "--steps", "1", "--stages", *stages)
    for stage in stages:
        assert re.search(rf"^{stage} +[\d,]+ .* [\d.]+ +[\d.]+ +\d+$", printed, flags=re.MULTILINE)
    for name in ("growth.csv", "growth.svg"):
        committed = (REPOSITORY / "docs" / name).read_bytes()
        assert (workspace.folder / "docs" / name).read_bytes() == committed


def test_planned_studies_are_simulated_and_their_coverage_is_printed(workspace: Workspace) -> None:
    printed = benchmark(workspace, "plan_seeds_coverage", "--pilots", "2", "--studies", "4")
    shares = re.findall(r"^\w+ +\d+ +\d+  0\.0\d+ +([\d.]+) +([\d.]+) +([\d.]+)$", printed, re.M)
    assert len(shares) == 8
    # Of eight simulated intervals each, and as many studies with and without a difference.
    coverage, power, alarms = (sum(map(float, of)) / 8 for of in zip(*shares, strict=True))
    assert coverage > 0.8
    assert power > 0.5 > 0.3 > alarms


def test_a_goal_that_is_missed_is_printed_as_missed(workspace: Workspace) -> None:
    code = (
        "import sys; sys.path.insert(0, 'tests/benchmarks'); from suite import Row;"
        " Row('slow', 30.0, 20.0, 's', 1.3).print(); Row('quick', 20.0, 20.0, 's', 1.3).print();"
        " Row('no goal', 30.0, 20.0, 's').print()"
    )
    result = workspace.call(sys.executable, "-c", code)
    assert result.returncode == 0, result.stderr
    slow, quick, no_goal = result.stdout.splitlines()
    # 30 / 20 = 1.5, more than 1.3
    assert re.search(r"30\.00 +20\.00 +1\.50 +1\.30 +MISSED", slow)
    assert re.search(r"20\.00 +20\.00 +1\.00 +1\.30 +met", quick)
    assert re.search(r"30\.00 +20\.00 +1\.50 +s$", no_goal)


def test_adaptive_studies_are_simulated_and_their_bias_is_printed(workspace: Workspace) -> None:
    printed = benchmark(workspace, "adaptive_simulation", "--studies", "20")
    found = re.findall(
        r"^ +2 +0\.3 flip_rate +[\d.]+ +([-+.\d]+) +([-+.\d]+) +([\d.]+) +([\d.]+)", printed, re.M
    )
    ((naive_bias, bias, naive_covers, covers),) = (tuple(map(float, row)) for row in found)
    # Of twenty studies: -0.08 without a correction, 0 with it, give or take 0.01.
    assert naive_bias < -0.05 < -0.03 < bias < 0.03
    assert naive_covers < 0.4 < 0.8 < covers
