# Paths, settings and cells of the experiments; no rules.
from collections import namedtuple

# Experiments: targets of their own, most of models and of labels alike.
EXPERIMENTS = f"{RUN}/experiments"
# Those that ask a model or judge something new.
ENGINE_EXPERIMENTS = ["judge_noise", "determinism", "boundary"]
# Cells of an experiment's own (experiment_cells.smk): its models by name, arms that it derives among
# them, the path of their prompts with {model} for the model, its temperatures as texts, and its seeds.
ExperimentCells = namedtuple(
    "ExperimentCells", ["models", "prompts", "temperatures", "seeds"]
)
EXPERIMENT_CELLS = {}
# (run, model) of both sides.
COMPARED = experiment_settings.compared(config, list(MODELS))
# Two models of this run.
PAIR_OF_RUN = [
    model for run, model in COMPARED if COMPARED[0][0] == COMPARED[-1][0]
] or list(MODELS)[:2]


def experiment_figure(name):
    """An experiment's figure, whose caption in the report is the one on the terminal."""
    return report(
        f"{EXPERIMENTS}/{name}.svg",
        caption="../report/experiment.rst",
        category="Experiments",
        labels={"experiment": name.replace("_", " ")},
    )


def compared_verdicts(side):
    """The verdicts on one of two models that are compared; of another run, those it has."""

    def files(wildcards):
        if side >= len(COMPARED):
            return []
        run, model = COMPARED[side]
        if run == config["run"]:
            return verdicts(pair for pair in PAIRS if pair[1] == model)
        return experiment_settings.verdicts_of(run, model)

    return files


def takes_no_seeds(name):
    """An input that cannot be, as has_no_engine."""

    def refuse(wildcards):
        sys.exit(
            f"error: {name} compares sampling seeds, and no model of this run is sent any "
            "(send_seed). Hint: add a model with weights, or one behind an API that takes seeds"
        )

    return refuse


def own_verdicts(experiment, pairs):
    """The verdicts of (judge, model) pairs on an experiment's cells; of labels, on all there are."""
    if "labels" in config:
        return verdicts(pairs)
    return [
        f"{EXPERIMENTS}/{experiment}/verdicts/{judge}/{model}.parquet"
        for judge, model in pairs
    ]


def arm_prompts(wildcards):
    """The prompts of an experiment's model."""
    return EXPERIMENT_CELLS[wildcards.experiment].prompts.format(model=wildcards.model)


def arm_responses(wildcards):
    """All cells of an experiment's model."""
    cells = EXPERIMENT_CELLS[wildcards.experiment]
    return expand(
        f"{EXPERIMENTS}/{{experiment}}/responses/{{model}}/{CELL_NAME}.parquet",
        experiment=wildcards.experiment,
        model=wildcards.model,
        temperature=cells.temperatures,
        seed=cells.seeds,
    )


def arm_grid(wildcards):
    """The same on a command line."""
    cells = EXPERIMENT_CELLS[wildcards.experiment]
    return (
        f"--temperatures {' '.join(cells.temperatures)}"
        f" --seeds {' '.join(map(str, cells.seeds))}"
    )


def refused(message):
    """An input that cannot be: it is asked for when its target is, and ends the plan."""

    def refuse(wildcards):
        sys.exit(f"error: {message}")

    return refuse


# What a judge says of the same text, again and again. A person, and a list of phrases, have no say.
NOISE = f"{EXPERIMENTS}/judge_noise"
NOISE_SAMPLE = f"{NOISE}/texts.parquet"
ASKED_AGAIN = {
    name: judge
    for name, judge in JUDGES.items()
    if judge and judge["kind"] not in ("human", "string_match")
}
NOISE_SETTINGS = config["experiments"]["judge_noise"]


def asked_again(wildcards):
    """The labels that each judge gave again."""
    if not ASKED_AGAIN:
        sys.exit(
            "error: judge_noise: no judge of this run can be asked again. Hint: add one that is a"
            " model"
        )
    return expand(f"{NOISE}/labels/{{judge}}.parquet", judge=ASKED_AGAIN)
