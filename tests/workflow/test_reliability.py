"""The scripts of tests/reliability lose nothing; a few cases of each."""

import subprocess
import sys

from helpers.workspace import REPOSITORY, Workspace


def reliability(name: str, *arguments: str) -> str:
    # They make copies of the repository for themselves.
    command = [sys.executable, f"tests/reliability/{name}.py", *arguments]
    result = subprocess.run(
        command, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=900
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_odd_configurations_and_prompts_are_taken_whole_or_refused_in_a_line() -> None:
    printed = reliability("fuzz_inputs", "--cases", "30")
    assert printed.endswith("fuzz_inputs: 30 cases tried, 0 lost\n")
    # Neither all taken nor all refused.
    assert {"taken", "refused"} <= set(printed.replace(":", "").split())


def test_keys_and_texts_stay_where_they_belong() -> None:
    printed = reliability("canaries", "--cases", "3", "--api-only")
    assert "cases tried, 0 lost\n" in printed


def test_no_template_of_a_checkpoint_leaves_its_sandbox() -> None:
    printed = reliability("isolation", "--without-engine")
    assert printed.endswith("isolation: 17 cases tried, 0 lost\n")


def test_no_reply_of_a_faulty_provider_is_lost_swapped_or_paid_for_twice() -> None:
    printed = reliability("api_faults", "--cases", "100")
    assert "answered twice" in printed
    assert printed.endswith("api_faults: 100 cases tried, 0 lost\n")


def test_no_call_more_than_the_budget_is_sent_and_none_is_in_vain() -> None:
    printed = reliability("api_budget", "--cases", "60", "--rounds", "3")
    assert printed.endswith("api_budget: 64 cases tried, 0 lost\n")


def test_two_at_once_lose_nothing() -> None:
    printed = reliability("two_at_once", "--rounds", "2", "--keys", "5")
    assert printed.endswith("two_at_once: 22 cases tried, 0 lost\n")


def test_older_formats_are_read_and_newer_ones_refused() -> None:
    printed = reliability("upgrades", "--planted")
    assert printed.endswith("upgrades: 80 cases tried, 0 lost\n")


def test_the_committed_attacks_on_judges_are_those_that_are_described() -> None:
    made = reliability("attack_replies")
    committed = REPOSITORY / "tests/reliability/attack_replies.jsonl"
    assert made == committed.read_text(encoding="utf-8")
    assert made.count("\n") >= 200


def test_spoilt_files_are_named_before_they_are_used(finished: Workspace) -> None:
    printed = reliability(
        "spoilt_files", "--cases", "60", "--runs", "1", "--finished", str(finished.folder)
    )
    assert "one bit turned over" in printed
    assert printed.endswith("spoilt_files: 61 cases tried, 0 lost\n")


def test_a_run_that_was_killed_goes_on_where_it_was(finished: Workspace) -> None:
    printed = reliability(
        *("kills", "--kills", "2", "--job-kills", "2"),
        *("--finished", str(finished.folder), "--seconds", "60"),
    )
    assert "generate.py killed by SIGKILL: 1\n" in printed
    assert printed.endswith(" 0 lost\n")
