# How stable are the refusals of a language model? See README.md.
import os

from snakemake.utils import min_version

min_version("9.27")


# A file given with --configfile replaces the default instead of being merged into it. Where Snakemake
# runs elsewhere, that is the one of this repository.
DEFAULT_CONFIG = "config/config.yaml"
if not os.path.exists(DEFAULT_CONFIG):
    DEFAULT_CONFIG = f"{workflow.basedir}/{DEFAULT_CONFIG}"
if not workflow.configfiles:

    configfile: DEFAULT_CONFIG


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/targets.smk"


# Verdicts come from the judges of the config, or are labels that somebody already has.
if "labels" in config:

    include: "workflow/rules/labels.smk"

else:

    include: "workflow/rules/demo_models.smk"
    include: "workflow/rules/prompts.smk"
    include: "workflow/rules/fetch.smk"
    include: "workflow/rules/generate.smk"
    include: "workflow/rules/judge.smk"

    if SHARED:

        include: "workflow/rules/shared_engine.smk"
    include: "workflow/rules/cost.smk"


include: "workflow/rules/stability.smk"
include: "workflow/rules/statistics.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/experiment_paths.smk"
include: "workflow/rules/experiments.smk"
include: "workflow/rules/sampling_experiments.smk"
include: "workflow/rules/judge_experiments.smk"


if "labels" in config:

    include: "workflow/rules/experiments_without_engine.smk"

else:

    include: "workflow/rules/determinism.smk"
    include: "workflow/rules/experiment_cells.smk"
    include: "workflow/rules/boundary.smk"
    include: "workflow/rules/judge_experiments_with_engine.smk"


include: "workflow/rules/paper.smk"
include: "workflow/rules/plan.smk"
include: "workflow/rules/preflight.smk"
include: "workflow/rules/failures.smk"
include: "workflow/rules/records.smk"


if "published_figures" in config:

    include: "workflow/rules/replication.smk"


localrules:
    all,


# Everything: tables, figures and the page that people read.
rule all:
    default_target: True
    input:
        rules.all_tables.input,
        ALL_FIGURES,
        REPORT_PAGE,
    message:
        f"All tables and figures are in {RUN}, the page to read is {REPORT_PAGE}"
