"""The scripts of tests/reliability lose nothing; a few cases of each."""

import sys

from workspace import Workspace


def reliability(workspace: Workspace, name: str, *arguments: str) -> str:
    result = workspace.call(sys.executable, f"tests/reliability/{name}.py", *arguments)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_odd_configurations_and_prompts_are_taken_whole_or_refused_in_a_line(
    workspace: Workspace,
) -> None:
    printed = reliability(workspace, "fuzz_inputs", "--cases", "30")
    assert printed.endswith("fuzz_inputs: 30 cases tried, 0 lost\n")
    # Neither all taken nor all refused.
    assert {"taken", "refused"} <= set(printed.replace(":", "").split())
