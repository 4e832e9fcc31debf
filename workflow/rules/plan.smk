# Takes: the configuration and what earlier runs left. Makes: the plan, on the terminal.
# Local: it asks Snakemake what it would run, and counts.
import os


localrules:
    plan,


# The run as it is planned; of labels, without models.
PLAN_SETTINGS = json.dumps(
    {
        "run": RUN,
        "config": " ".join(os.path.relpath(file) for file in workflow.configfiles),
        "temperatures": TEMPERATURES,
        "seeds": SEEDS,
        "sharing": "model" if SHARED else "cell",
        "calls": CALLS,
        **{
            key: config[key] for key in ("prompts", "prices", "budget") if key in config
        },
        **{
            key: [with_folder(entry) for entry in config[key]]
            for key in ("models", "judges")
            if key in config
        },
    }
)


rule plan:
    """Print jobs, calls, tokens, GPU-hours and money of what is still to be done; run nothing."""
    input:
        script=own_file("workflow/scripts/plan.py"),
    log:
        f"{RUN}/logs/plan.log",
    conda:
        "../../envs/plan.yaml"
    params:
        snakemake=[sys.executable, "-m", "snakemake"],
        snakefile=workflow.main_snakefile,
        configfiles=workflow.configfiles,
        overrides=(
            ["--config", *workflow.config_settings.config_args]
            if workflow.config_settings.config_args
            else []
        ),
        settings=PLAN_SETTINGS,
    message:
        "Planning"
    # On the terminal too, what went wrong: `make plan` keeps Snakemake itself quiet.
    shell:
        "{{ {params.snakemake:q} --snakefile {params.snakefile:q}"
        " --configfile {params.configfiles:q} {params.overrides:q} --summary 2> {log:q}"
        " | python {input.script} --settings {params.settings:q} 2>> {log:q}; }}"
        " || {{ cat {log:q} >&2; exit 1; }}"
