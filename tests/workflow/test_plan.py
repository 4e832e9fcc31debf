"""What Snakemake plans to run, before anything has been run."""

from helpers.workspace import Workspace


def test_the_study_plans_80_cells_with_the_slurm_profile(workspace: Workspace) -> None:
    planned = workspace.planned("--profile", "slurm")
    assert planned == {
        "prompts": 1,
        "fetch_weights": 5,
        "generate": 80,
        "judge": 4,
        "stability": 1,
        "statistics": 1,
        "cost": 1,
        "figures": 1,
        "report_page": 1,
    }


def test_the_demo_plans_40_cells(workspace: Workspace) -> None:
    planned = workspace.planned("--configfile", "config/demo.yaml")
    assert planned == {
        "train_demo_model": 4,
        "prompts": 1,
        "generate": 40,
        "judge": 4,
        "stability": 2,
        "statistics": 1,
        "cost": 1,
        "figures": 2,
        "report_page": 1,
    }


def test_one_of_everything(workspace: Workspace) -> None:
    config = workspace.read_config()
    for key in ("models", "judges", "temperatures", "seeds"):
        config[key] = config[key][:1]
    workspace.write_config(config)
    assert workspace.planned() == {
        "train_demo_model": 2,
        "prompts": 1,
        "generate": 1,
        "judge": 1,
        "stability": 1,
        "statistics": 1,
        "cost": 1,
        "figures": 1,
        "report_page": 1,
    }


def test_a_configfile_replaces_the_default_one(workspace: Workspace) -> None:
    # Merged, the file would inherit the default's prompts.limit and ask fewer prompts.
    config = workspace.read_config()
    del config["prompts"]["limit"]
    workspace.write_config(config)
    result = workspace.snakemake("--dry-run", "--printshellcmds", "all_prompts")
    assert """'{"source": "demo"}'""" in result.stdout


def test_named_targets_stop_where_they_say(workspace: Workspace) -> None:
    stages = {"prompts": 1, "train_demo_model": 2, "generate": 8}
    assert workspace.planned("all_prompts") == {"prompts": 1, "all_prompts": 1}
    assert workspace.planned("all_responses") == stages | {"all_responses": 1}
    stages |= {"train_demo_model": 4, "judge": 4}
    assert workspace.planned("all_verdicts") == stages | {"all_verdicts": 1}
    stages |= {"stability": 2}
    assert workspace.planned("all_stability") == stages | {"all_stability": 1}
    stages |= {"statistics": 1, "cost": 1}
    assert workspace.planned("all_tables") == stages | {"all_tables": 1}
    stages = stages | {"figures": 2}
    del stages["cost"]
    assert workspace.planned("all_figures") == stages | {"all_figures": 1}
