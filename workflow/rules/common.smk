# Paths, wildcard constraints and the list of cells; no science.
import gc
import inspect
import json
import re
import shlex
import sys

from itertools import product
from pathlib import Path

import yaml

from snakemake.settings.types import DeploymentMethod

# Nearly all that a plan is made of stays: Python would look through it for garbage at every 700 new
# objects, which takes a tenth of the time.
gc.set_threshold(50_000, 10, 10)

# The package lies beside the scripts and needs no installation.
sys.path.insert(0, str(Path(workflow.current_basedir).parent / "scripts"))

from refusal_stability.controller import code, duplicate_keys
from refusal_stability.controller.check_config import checked_config
from refusal_stability.controller.overrides import with_overrides
from refusal_stability.settings.weights import DEMO_PREFIX, is_folder, is_on_hub
from refusal_stability.core import cli, formats, versions
from refusal_stability.core.cells import CELL_NAME, cell_name, temperature_text
from refusal_stability.core.errors import RefusalStabilityError
from refusal_stability.core.repository import ROOT, own_file
from refusal_stability.hub import weights as hub_weights
from refusal_stability.imported_labels import human as human_labels
from refusal_stability.imported_labels.pairs import label_pairs
from refusal_stability.report.captions import CaptionTables
from refusal_stability.settings import experiments as experiment_settings
from refusal_stability.settings import judges as judge_settings
from refusal_stability.settings import models as model_settings
from refusal_stability.settings import prompts as prompt_settings
from refusal_stability.controller import check_prompts
from refusal_stability.settings import report as report_settings

# With --sdm conda, each job has the Python of its environment.
if DeploymentMethod.CONDA in workflow.deployment_settings.deployment_method:
    cli.prefer_conda_environments()
else:
    cli.prefer_this_python()

# In commands, as they are: a module knows no names of this file when it fills them in.
SCRIPTS = shlex.quote(own_file("workflow/scripts"))
DEMO_MODELS_FILE = own_file("resources/demo/models.yaml")
DEMO_MODELS = yaml.safe_load(Path(DEMO_MODELS_FILE).read_text())

try:
    if workflow.is_main_process:
        for path in workflow.configfiles:
            duplicate_keys.check(Path(path))
    config.update(
        checked_config(
            with_overrides(config, workflow.config_settings.config_args),
            schema_file=ROOT / "workflow/schemas/config.schema.yaml",
            config_file=", ".join(
                [*map(str, workflow.configfiles)]
                + ["--config"] * bool(workflow.config_settings.config_args)
            ),
            demo_models=list(DEMO_MODELS),
        )
    )
    if "prompts" in config:
        check_prompts.check_made_prompts(
            config["prompts"], Path("results", config["run"], "prompts.json")
        )
    if workflow.is_main_process:
        formats.check_run(Path("results", config["run"]))
        human_labels.check_judges(config)
    # The (judge, model) pairs of a run that starts from labels; a run of models has none.
    LABEL_PAIRS = []
    if "labels" in config:
        LABEL_PAIRS = label_pairs(
            config["labels"],
            config.get("model_aliases", {}),
            config.get("judge_aliases", {}),
        )
    # A model stands once, however many judged it.
    experiment_settings.check(
        config,
        [model["name"] for model in config.get("models", [])]
        or list(dict.fromkeys(model for _, model in LABEL_PAIRS)),
    )
    report_settings.check(config)
except RefusalStabilityError as error:
    # One line: a raised error would show the reader this file instead of his own.
    sys.exit(f"error: {error}")

SELF_JUDGING = list(
    model_settings.self_judging(config.get("models", []), config.get("judges", []))
)
# Once, and not again by every job that reads this file on its node.
if workflow.is_main_process:
    for warning in SELF_JUDGING:
        print(f"warning: {warning}", file=sys.stderr)

RUN = f"results/{config['run']}"
# Captions of the report print numbers from the tables as they are when it is written.
config["tables"] = CaptionTables(Path(RUN, "tables"))

# Labels come with their models and judges; nothing is known of these but their names.
MODELS = {model["name"]: model for model in config.get("models", [])} | {
    model: None for _, model in LABEL_PAIRS
}
JUDGES = {judge["name"]: judge for judge in config.get("judges", [])} | {
    judge: None for judge, _ in LABEL_PAIRS
}
# They label a sample of the responses only (judge_experiments.smk).
SAMPLE_JUDGES = {judge["name"]: judge for judge in judge_settings.sample_judges(config)}
# What is judged by whom.
PAIRS = LABEL_PAIRS or list(product(JUDGES, MODELS))
TEMPERATURES = [temperature_text(value) for value in config.get("temperatures", [])]
SEEDS = config.get("seeds", [])
# A model's cells, on a command line: their files would be too many for it.
GRID = f"--temperatures {' '.join(TEMPERATURES)} --seeds {' '.join(map(str, SEEDS))}"
# One engine for all cells of a model, and for all that a judge labels (shared_engine.smk).
SHARED = config.get("engine", {}).get("sharing") == "model"
# Which revisions of which repositories of the Hugging Face hub have the weights.
HUB_WEIGHTS = {
    hub_weights.label(entry["weights"], entry.get("revision")): (
        entry["weights"],
        entry.get("revision", hub_weights.DEFAULT_REVISION),
    )
    for entry in config.get("models", [])
    + config.get("judges", [])
    + list(SAMPLE_JUDGES.values())
    if is_on_hub(entry)
}
# Those that may be pickles, as one of their entries says.
PICKLES = [
    hub_weights.label(entry["weights"], entry.get("revision"))
    for entry in config.get("models", [])
    + config.get("judges", [])
    + list(SAMPLE_JUDGES.values())
    if entry.get("allow_pickle") and is_on_hub(entry)
]


wildcard_constraints:
    model="|".join(map(re.escape, MODELS)),
    judge="|".join(map(re.escape, JUDGES)),
    temperature="|".join(map(re.escape, TEMPERATURES)),
    seed="|".join(map(str, SEEDS)),
    demo_model="|".join(map(re.escape, DEMO_MODELS)),
    # What matches nothing, where there are none.
    hub_weights="|".join(map(re.escape, HUB_WEIGHTS)) or "(?!)",


# Part of the jobs' command lines, and no more: where results are kept makes none of them old.
SHARED_CACHE = (
    f"--shared-cache {shlex.quote(str(Path(config['cache']).expanduser()))}"
    if config["cache"]
    else ""
)
# So is what the run may send to APIs: another budget makes nothing old.
CALLS = f"{RUN}/cache/calls"
BUDGET = f"--budget {CALLS} {config['budget']['calls']}" if "budget" in config else ""
PROMPTS = f"{RUN}/prompts.parquet"
CELL = f"{RUN}/responses/{{model}}/{CELL_NAME}"
VERDICTS = f"{RUN}/verdicts/{{judge}}/{{model}}"
STABILITY = f"{RUN}/stability/{{judge}}.parquet"
DEMO_WEIGHTS = f"{RUN}/demo_models/{{demo_model}}"
FETCHED = f"{RUN}/weights/{{hub_weights}}.json"
CHECKPOINT = [
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
]
TABLES = [
    "models",
    "within_temperature",
    "categories",
    "scoring",
    "thresholds",
    "temperature_effect",
    "temperature_pairs",
    "correlations",
    "model_pairs",
    "judge_agreement",
    "judge_confusion",
    "consensus",
    "judge_noise",
    "sample_size",
    "stability_measures",
    "first_comply",
    "seed_effect",
    "alarms",
]
FIGURES = [
    "ssi_distribution",
    "temperature",
    "temperature_pairs",
    "label_mix",
    "ssi_and_compliance",
    "categories",
    "model_differences",
    "judge_confusion",
    "sample_size",
    "thresholds",
]


def verdicts(pairs):
    """The verdicts of (judge, model) pairs."""
    return [
        f"{VERDICTS.format(judge=judge, model=model)}.parquet" for judge, model in pairs
    ]


def weights_folder(entry):
    """Where a model's or judge's weights are: a folder, or a Hugging Face id."""
    if entry["weights"].startswith(DEMO_PREFIX):
        name = entry["weights"].removeprefix(DEMO_PREFIX)
        return DEMO_WEIGHTS.format(demo_model=name)
    return entry["weights"]


def weights_files(entry):
    """The files whose change means other weights; none for a Hugging Face id."""
    if entry["weights"].startswith(DEMO_PREFIX):
        return [f"{weights_folder(entry)}/{file}" for file in CHECKPOINT]
    if not is_folder(entry["weights"]):
        return []
    folder = Path(entry["weights"]).expanduser()
    kinds = ["*.json", "*.jinja", "*.safetensors", "*.model"]
    kinds += ["*.bin", "*.pt"] if entry.get("allow_pickle") else []
    return sorted(str(file) for kind in kinds for file in folder.glob(kind))


def fetched(entry):
    """The record of a model's or judge's weights, if they are of the Hugging Face hub."""
    if not is_on_hub(entry):
        return []
    name = hub_weights.label(entry["weights"], entry.get("revision"))
    return FETCHED.format(hub_weights=name)


def with_folder(entry):
    """A model or judge, with the folder of its weights if it has any."""
    return {**entry, "weights": weights_folder(entry)} if "weights" in entry else entry


def settings(entry):
    """What a job is told of its model or judge, and what reruns it when it changes."""
    return json.dumps(with_folder(entry), sort_keys=True)


def is_over_nodes(entry):
    """Whether a model or judge runs on several nodes."""
    return entry.get("nodes", 1) > 1


def over_nodes(entry, value):
    """The value of a resource of jobs over several nodes; others do not have it."""
    return value if is_over_nodes(entry) else None


def launcher(entries, wildcard):
    """What starts the process of a model or judge on each of its nodes; nothing on one node."""

    def over_its_nodes(wildcards, threads):
        entry = entries[wildcards[wildcard]]
        if not is_over_nodes(entry):
            return ""
        nodes = entry["nodes"]
        return (
            f"srun --nodes={nodes} --ntasks={nodes} --ntasks-per-node=1"
            f" --cpus-per-task={threads} --kill-on-bad-exit=1 --label"
        )

    return over_its_nodes if any(map(is_over_nodes, entries.values())) else None


def launched(command, entries):
    """A command that starts with its job's launcher, if any job needs one."""
    needed = any(map(is_over_nodes, entries.values()))
    return "{resources.launcher} " * needed + command


def engine_resources(entries, wildcard):
    """What a job with the engine of a model or judge takes."""

    def of_entry(value):
        return lambda wildcards: value(entries[wildcards[wildcard]])

    return {
        "gpu": of_entry(lambda entry: entry["gpus"] * entry["nodes"]),
        # On Slurm: one process on one node has all of them. The default is a task a GPU,
        # each with all the cores, on any nodes.
        "nodes": of_entry(lambda entry: entry["nodes"]),
        "tasks_per_gpu": 0,
        # Over several nodes, a process on each; srun starts them, and not the executor.
        "tasks": of_entry(lambda entry: over_nodes(entry, entry["nodes"])),
        "mpi": of_entry(lambda entry: over_nodes(entry, "srun")),
        "launcher": launcher(entries, wildcard),
    }


def by_model(value):
    """The function of a cell that gives value(model) of its model, worked out once a model.

    There may be thousands of cells, and Snakemake inspects a function several times for each:
    so its signature is worked out once, too.
    """
    values = {
        name: value(model) for name, model in MODELS.items() if "weights" in model
    }

    def look_up(wildcards):
        return values[wildcards.model]

    look_up.__signature__ = inspect.signature(look_up)
    return look_up


def resource_by_model(value):
    """The same for a resource, which is a plain value where all models have the same."""
    values = {value(model) for model in MODELS.values() if "weights" in model}
    return values.pop() if len(values) == 1 else by_model(value)


# The page that people read, and its template, style and scripts.
REPORT_PAGE = f"{RUN}/stability_report.html"
PAGE_RESOURCES = sorted(map(str, Path(own_file("resources/report")).glob("*.*")))


def package(script):
    """The modules behind a cheap rule's script, as inputs: it reruns when one of them is edited."""
    return list(
        map(str, code.modules_behind(Path(own_file(f"workflow/scripts/{script}.py"))))
    )


# An experiment's cells are made by the same command, of other prompts.
def generate_command(prompts, entries):
    """The command of a cell, whose job has `responses` and `manifest` as outputs."""
    command = launched(
        f"python {SCRIPTS}/generate.py" " --model {params.model:q}", entries
    )
    return (
        f"{command} --fetched {{input.fetched:q}}"
        " --temperature {wildcards.temperature} --seed {wildcards.seed}"
        f" --prompts {prompts} --cache {RUN}/cache/responses {SHARED_CACHE} {BUDGET}"
        " --output {output.responses:q} > {log:q} 2>&1"
    )


# The verdicts of an experiment are made by the same command, of other cells.
def judge_command(responses, grid):
    """The command of a judge's job on the cells of one model, in a folder of its name."""
    command = launched(f"python {SCRIPTS}/judge.py" " --judge {params.judge:q}", JUDGES)
    return (
        f"{command} --fetched {{input.fetched:q}}"
        " --prompts {input.prompts:q}"
        f" --responses {responses} {grid}"
        f" --cache {RUN}/cache/verdicts/{{wildcards.judge}}/{{wildcards.model}}.jsonl"
        f" {SHARED_CACHE} {BUDGET}"
        " --output {output.verdicts:q} > {log:q} 2>&1"
    )
