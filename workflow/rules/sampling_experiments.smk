# Takes: prompts of a run, and of a run from labels its verdicts. Makes: experiments on how much to ask,
# each a target of its own with a table, a figure and a caption (docs/experiments.md).
from refusal_stability.core import names
from refusal_stability.settings import judges as judge_settings
from refusal_stability.settings import models as model_settings


# Local: seconds each, and their captions are for the terminal.
localrules:
    pilot_prompts,
    pilot,
    seed_scope,
    adaptive_prompts,
    adaptive,


# Who is drawn stays the same: another seed of the bootstrap asks nobody anew.
DRAW = 1
PILOT = config["experiments"]["pilot"]
PILOT_PROMPTS = f"{EXPERIMENTS}/pilot/prompts.parquet"
PILOT_SEEDS = PILOT.get("seeds", SEEDS[:5])
# Judges whose cost is to be known; a person labels what he was given.
PILOT_JUDGES = [
    name for name, judge in JUDGES.items() if judge is None or judge["kind"] != "human"
] or list(JUDGES)
PILOT_PROBLEM = model_settings.pilot_problem(config.get("models", []))
PILOT_PAIRS = [pair for pair in PAIRS if pair[0] in PILOT_JUDGES]
if "labels" not in config:
    EXPERIMENT_CELLS["pilot"] = ExperimentCells(
        MODELS,
        PILOT_PROMPTS,
        [temperature_text(value) for value in PILOT["temperatures"]],
        PILOT_SEEDS,
    )
# Arms by name, and the one that is no model of the run.
SEED_ARMS, DERIVED_ARM = {}, {}
DRAWN = [text for text in TEMPERATURES if float(text) > 0]
if "labels" in config:
    # Nothing is known of their seeds.
    SEED_ARMS = {
        config["experiments"]["seed_scope"].get("model", next(iter(MODELS))): "unknown"
    }
else:
    SEED_ARMS, DERIVED_ARM = experiment_settings.seed_arms(config)
    # Of nothing drawn, or of one seed, there is no variance.
    if not DRAWN or len(SEEDS) < 2:
        SEED_ARMS, DERIVED_ARM = dict([*SEED_ARMS.items()][:1]), {}
    if DERIVED_ARM:
        EXPERIMENT_CELLS["seed_scope"] = ExperimentCells(
            DERIVED_ARM, PROMPTS, DRAWN, SEEDS
        )
# The first judge who is no person; of labels, who judged the model.
SEED_ARMS_JUDGE = next(
    (judge for judge, model in PAIRS if judge in PILOT_JUDGES and model in SEED_ARMS),
    PILOT_JUDGES[0],
)
# Seeds of both phases; those of labels are not known here.
ADAPTIVE = config["experiments"]["adaptive"]
FIRST, REST = SEEDS[: ADAPTIVE["first_seeds"]], SEEDS[ADAPTIVE["first_seeds"] :]
ADAPTIVE_PAIRS = [pair for pair in PAIRS if pair[0] == PILOT_JUDGES[0]]
ADAPTIVE_PROMPTS = f"{EXPERIMENTS}/adaptive_rest/prompts/{{model}}.parquet"
if "labels" not in config:
    EXPERIMENT_CELLS["adaptive_first"] = ExperimentCells(
        MODELS, PROMPTS, TEMPERATURES, FIRST
    )
    if REST:
        EXPERIMENT_CELLS["adaptive_rest"] = ExperimentCells(
            MODELS, ADAPTIVE_PROMPTS, TEMPERATURES, REST
        )


rule pilot_prompts:
    """Draw the prompts of the pilot."""
    input:
        script=own_file("workflow/scripts/sample_prompts.py"),
        prompts=PROMPTS,
    output:
        PILOT_PROMPTS,
    log:
        f"{RUN}/logs/experiments/pilot_prompts.log",
    conda:
        "../../envs/experiments.yaml"
    params:
        number=PILOT["prompts"],
        seed=DRAW,
    message:
        "Drawing the prompts of the pilot"
    shell:
        "python {input.script} --prompts {input.prompts:q} --number {params.number}"
        " --seed {params.seed} --output {output:q} > {log:q} 2>&1"


rule pilot:
    """Say whether SSI falls with temperature on a few prompts, and what the full study would cost."""
    input:
        script=own_file("workflow/scripts/pilot.py"),
        package=package("pilot"),
        prompts=PILOT_PROMPTS,
        verdicts=(
            refused(PILOT_PROBLEM)
            if PILOT_PROBLEM
            else own_verdicts("pilot", PILOT_PAIRS)
        ),
    output:
        table=f"{EXPERIMENTS}/pilot.csv",
        temperatures=f"{EXPERIMENTS}/pilot_temperatures.csv",
        cost=f"{EXPERIMENTS}/pilot_cost.csv",
        figure=experiment_figure("pilot"),
        images=multiext(f"{EXPERIMENTS}/pilot", ".pdf", ".png"),
        caption=f"{EXPERIMENTS}/pilot.txt",
    log:
        f"{RUN}/logs/experiments/pilot.log",
    conda:
        "../../envs/experiments.yaml"
    params:
        statistics=json.dumps(config["statistics"], sort_keys=True),
        temperatures=PILOT["temperatures"],
        seeds=PILOT_SEEDS,
        study=lambda wildcards: PLAN_SETTINGS,
        folder=lambda wildcards, output: Path(output.table).parent,
    message:
        "Asking whether SSI falls with temperature"
    shell:
        "python {input.script} --statistics {params.statistics:q} --prompts {input.prompts:q}"
        " --verdicts {input.verdicts:q} --temperatures {params.temperatures}"
        " --seeds {params.seeds} --study {params.study:q} --output {params.folder:q}"
        " > {log:q} 2>&1 && cat {output.caption:q}"


rule seed_scope:
    """Compare one sampling seed for all prompts of a cell with a seed for each."""
    input:
        script=own_file("workflow/scripts/seed_scope.py"),
        package=package("seed_scope"),
        prompts=PROMPTS,
        verdicts=(
            verdicts(
                (SEED_ARMS_JUDGE, model)
                for model in SEED_ARMS
                if model not in DERIVED_ARM
            )
            + own_verdicts(
                "seed_scope", [(SEED_ARMS_JUDGE, model) for model in DERIVED_ARM]
            )
        )
        or takes_no_seeds("seed_scope"),
    output:
        table=f"{EXPERIMENTS}/seed_scope.csv",
        ratio=f"{EXPERIMENTS}/seed_scope_ratio.csv",
        figure=experiment_figure("seed_scope"),
        images=multiext(f"{EXPERIMENTS}/seed_scope", ".pdf", ".png"),
        caption=f"{EXPERIMENTS}/seed_scope.txt",
    log:
        f"{RUN}/logs/experiments/seed_scope.log",
    conda:
        "../../envs/experiments.yaml"
    params:
        statistics=json.dumps(config["statistics"], sort_keys=True),
        arms=json.dumps(SEED_ARMS),
        folder=lambda wildcards, output: Path(output.table).parent,
    message:
        "Comparing shared with own sampling seeds"
    shell:
        "python {input.script} --statistics {params.statistics:q} --arms {params.arms:q}"
        " --prompts {input.prompts:q} --verdicts {input.verdicts:q}"
        " --output {params.folder:q} > {log:q} 2>&1 && cat {output.caption:q}"


rule adaptive_prompts:
    """Choose the prompts of phase 2: those that are not settled, and the audit."""
    input:
        script=own_file("workflow/scripts/adaptive_prompts.py"),
        prompts=PROMPTS,
        verdicts=f"{EXPERIMENTS}/adaptive_first/verdicts/{PILOT_JUDGES[0]}/{{model}}.parquet",
    output:
        ADAPTIVE_PROMPTS,
    log:
        f"{RUN}/logs/experiments/adaptive_prompts/{{model}}.log",
    conda:
        "../../envs/experiments.yaml"
    params:
        audit=ADAPTIVE["audit"],
        seed=DRAW,
    message:
        "Choosing what {wildcards.model} is asked further"
    shell:
        "python {input.script} --prompts {input.prompts:q} --verdicts {input.verdicts:q}"
        " --audit {params.audit} --seed {params.seed} --output {output:q} > {log:q} 2>&1"


rule adaptive:
    """Spend samples where labels differ, and say what that saves."""
    input:
        script=own_file("workflow/scripts/adaptive.py"),
        package=package("adaptive"),
        prompts=PROMPTS,
        verdicts=own_verdicts("adaptive_first", ADAPTIVE_PAIRS),
        further=(
            own_verdicts("adaptive_rest", ADAPTIVE_PAIRS)
            if REST and "labels" not in config
            else []
        ),
    output:
        table=f"{EXPERIMENTS}/adaptive.csv",
        figure=experiment_figure("adaptive"),
        images=multiext(f"{EXPERIMENTS}/adaptive", ".pdf", ".png"),
        caption=f"{EXPERIMENTS}/adaptive.txt",
    log:
        f"{RUN}/logs/experiments/adaptive.log",
    conda:
        "../../envs/experiments.yaml"
    params:
        statistics=json.dumps(config["statistics"], sort_keys=True),
        audit=ADAPTIVE["audit"],
        draw=DRAW,
        first=ADAPTIVE["first_seeds"],
        seeds=SEEDS,
        # Of labels, in which nothing is timed, the run itself.
        run=lambda wildcards, input: Path(input.verdicts[0]).parents[2],
        folder=lambda wildcards, output: Path(output.table).parent,
    message:
        "Estimating from an adaptive sample"
    shell:
        "python {input.script} --statistics {params.statistics:q} --prompts {input.prompts:q}"
        " --verdicts {input.verdicts:q} --further {input.further:q} --audit {params.audit}"
        " --draw {params.draw} --first {params.first} --seeds {params.seeds} --run {params.run:q}"
        " --output {params.folder:q} > {log:q} 2>&1 && cat {output.caption:q}"
