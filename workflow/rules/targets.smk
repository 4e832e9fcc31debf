# Named targets: every stage at which a person may want to stop.
RESPONSES = expand(
    f"{CELL}.parquet", model=MODELS, temperature=TEMPERATURES, seed=SEEDS
)
ALL_VERDICTS = verdicts(PAIRS)
STATISTICS_TABLES = expand(f"{RUN}/tables/{{table}}.csv", table=TABLES)
REPLICATION = f"{RUN}/tables/replication.csv"
COST = f"{RUN}/tables/cost.csv"
ALL_TABLES = (
    STATISTICS_TABLES
    + [REPLICATION] * ("published_figures" in config)
    + [COST] * ("labels" not in config)
)
ALL_FIGURES = expand(
    f"{RUN}/figures/{{judge}}/{{figure}}.{{kind}}",
    judge=JUDGES,
    figure=FIGURES,
    kind=["svg", "pdf", "png"],
)


localrules:
    all_verdicts,
    all_stability,
    all_tables,
    all_figures,


# Labels have these behind them.
if "labels" not in config:

    localrules:
        all_prompts,
        all_weights,
        all_responses,

    rule all_prompts:
        """The prompts of the run."""
        input:
            PROMPTS,

    rule all_weights:
        """The weights of every model and judge that are on the Hugging Face hub."""
        input:
            expand(FETCHED, hub_weights=HUB_WEIGHTS),

    rule all_responses:
        """The replies of every cell."""
        input:
            RESPONSES,


rule all_verdicts:
    """The verdicts of every judge on every model."""
    input:
        ALL_VERDICTS,


rule all_stability:
    """The stability of every prompt, under every judge."""
    input:
        expand(STABILITY, judge=JUDGES),


rule all_tables:
    """The tables, and what they are made of."""
    input:
        ALL_TABLES,
        # Tables that are there need it no more, but experiments and other runs do.
        expand(STABILITY, judge=JUDGES),
        ALL_VERDICTS,


rule all_figures:
    """The figures."""
    input:
        ALL_FIGURES,
