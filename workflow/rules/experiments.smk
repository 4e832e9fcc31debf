# Takes: verdicts and prompts of a run. Makes: an experiment's table, figure and caption, each a
# target of its own that nothing else asks for (docs/experiments.md).


# Local: seconds each, and their captions are for the terminal.
localrules:
    compare,
    plan_seeds,
    category_probe,
    scoring,


rule compare:
    """Compare two models, or two runs, on the same prompts."""
    input:
        script=own_file("workflow/scripts/compare.py"),
        package=package("compare"),
        prompts=PROMPTS,
        verdicts_a=compared_verdicts(0),
        verdicts_b=compared_verdicts(1),
    output:
        table=f"{EXPERIMENTS}/compare.csv",
        prompts=f"{EXPERIMENTS}/compare_prompts.csv",
        figure=experiment_figure("compare"),
        images=multiext(f"{EXPERIMENTS}/compare", ".pdf", ".png"),
        caption=f"{EXPERIMENTS}/compare.txt",
    log:
        f"{RUN}/logs/experiments/compare.log",
    conda:
        "../../envs/experiments.yaml"
    params:
        statistics=json.dumps(config["statistics"], sort_keys=True),
        # Of one name in two runs, the run tells which.
        names=[
            model if COMPARED[0][0] == COMPARED[-1][0] else f"{run}/{model}"
            for run, model in COMPARED
        ],
        folder=lambda wildcards, output: Path(output.table).parent,
    message:
        "Comparing two models"
    shell:
        "python {input.script} --statistics {params.statistics:q} --prompts {input.prompts:q}"
        " --names {params.names:q} --verdicts-a {input.verdicts_a:q}"
        " --verdicts-b {input.verdicts_b:q} --output {params.folder:q} > {log:q} 2>&1"
        " && cat {output.caption:q}"


rule plan_seeds:
    """Say how many prompts and seeds a wanted precision takes, and what they cost."""
    input:
        script=own_file("workflow/scripts/plan_seeds.py"),
        package=package("plan_seeds"),
        prompts=PROMPTS,
        verdicts=ALL_VERDICTS,
    output:
        table=f"{EXPERIMENTS}/plan_seeds.csv",
        figure=experiment_figure("plan_seeds"),
        images=multiext(f"{EXPERIMENTS}/plan_seeds", ".pdf", ".png"),
        caption=f"{EXPERIMENTS}/plan_seeds.txt",
    log:
        f"{RUN}/logs/experiments/plan_seeds.log",
    conda:
        "../../envs/experiments.yaml"
    params:
        statistics=json.dumps(config["statistics"], sort_keys=True),
        wanted=json.dumps(config["experiments"]["plan_seeds"], sort_keys=True),
        pair=PAIR_OF_RUN,
        run=lambda wildcards, output: Path(output.table).parents[1],
        folder=lambda wildcards, output: Path(output.table).parent,
    message:
        "Planning prompts and seeds"
    shell:
        "python {input.script} --statistics {params.statistics:q} --wanted {params.wanted:q}"
        " --prompts {input.prompts:q} --verdicts {input.verdicts:q} --pair {params.pair:q}"
        " --run {params.run:q} --output {params.folder:q} > {log:q} 2>&1"
        " && cat {output.caption:q}"


rule category_probe:
    """Compare the stability of prompts of several categories."""
    input:
        script=own_file("workflow/scripts/category_probe.py"),
        package=package("category_probe"),
        prompts=PROMPTS,
        verdicts=ALL_VERDICTS,
    output:
        table=f"{EXPERIMENTS}/category_probe.csv",
        figure=experiment_figure("category_probe"),
        images=multiext(f"{EXPERIMENTS}/category_probe", ".pdf", ".png"),
        caption=f"{EXPERIMENTS}/category_probe.txt",
    log:
        f"{RUN}/logs/experiments/category_probe.log",
    conda:
        "../../envs/experiments.yaml"
    params:
        statistics=json.dumps(config["statistics"], sort_keys=True),
        settings=json.dumps(config["experiments"]["category_probe"], sort_keys=True),
        folder=lambda wildcards, output: Path(output.table).parent,
    message:
        "Comparing categories"
    shell:
        "python {input.script} --statistics {params.statistics:q} --settings {params.settings:q}"
        " --prompts {input.prompts:q} --verdicts {input.verdicts:q}"
        " --output {params.folder:q} > {log:q} 2>&1 && cat {output.caption:q}"


rule scoring:
    """Compare three-way with binary scoring, over thresholds."""
    input:
        script=own_file("workflow/scripts/scoring.py"),
        package=package("scoring"),
        prompts=PROMPTS,
        verdicts=ALL_VERDICTS,
    output:
        table=f"{EXPERIMENTS}/scoring.csv",
        figure=experiment_figure("scoring"),
        images=multiext(f"{EXPERIMENTS}/scoring", ".pdf", ".png"),
        caption=f"{EXPERIMENTS}/scoring.txt",
    log:
        f"{RUN}/logs/experiments/scoring.log",
    conda:
        "../../envs/experiments.yaml"
    params:
        statistics=json.dumps(config["statistics"], sort_keys=True),
        folder=lambda wildcards, output: Path(output.table).parent,
    message:
        "Comparing the ways of scoring"
    shell:
        "python {input.script} --statistics {params.statistics:q}"
        " --prompts {input.prompts:q} --verdicts {input.verdicts:q}"
        " --output {params.folder:q} > {log:q} 2>&1 && cat {output.caption:q}"
