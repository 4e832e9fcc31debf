"""What docs/cluster.md tells a user to type is there."""

import re
import shlex

from snakemake.cli import get_argument_parser

from helpers.workspace import REPOSITORY, Workspace

PAGE = (REPOSITORY / "docs/cluster.md").read_text(encoding="utf-8")


def test_its_commands_name_options_files_and_targets_that_exist(workspace: Workspace) -> None:
    rules = set(workspace.snakemake("--list-rules").stdout.split())
    commands = re.findall(r"\bsnakemake (?:\w+ )*--[^`\"\n#]+", PAGE)
    assert len(commands) >= 8
    for command in commands:
        arguments = get_argument_parser().parse_args(shlex.split(command)[1:])
        assert set(arguments.targets) <= rules, command
        for file in arguments.configfile or []:
            assert (REPOSITORY / file).is_file(), command
        for profile in arguments.profile or []:
            assert (REPOSITORY / profile / "config.yaml").is_file(), command


def test_the_files_and_the_lines_of_the_profile_that_it_names_exist() -> None:
    for path in re.findall(r"`((?:config|docs|envs|profiles|tests)/[^`<]*)`", PAGE):
        assert (REPOSITORY / path).exists(), path
    profile = (REPOSITORY / "profiles/slurm/config.yaml").read_text(encoding="utf-8")
    table = PAGE.partition("| line |")[2].partition("\n\n")[0]
    cells = [row.split("|")[1] for row in table.splitlines() if row.startswith("| `")]
    names = [name for cell in cells for name in re.findall(r"`([\w-]+)`", cell)]
    assert "slurm_account" in names
    for name in names:
        assert f"{name}:" in profile, name
