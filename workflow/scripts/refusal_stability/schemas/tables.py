"""The columns of every table of a run."""

import dataframely as dy

from refusal_stability.core.labels import SCORINGS, VALID_LABELS
from refusal_stability.schemas.columns import (
    SUMMARY,
    at_most_one,
    choice,
    counts,
    estimates,
    judges,
    model,
    name,
    positive,
    real,
    set_names,
    share,
    signed,
    table,
    temperature,
)

TABLES: dict[str, type[dy.Schema]] = {
    "models": table(**model(), **SUMMARY),
    "within_temperature": table(**model(), temperature=temperature(), **SUMMARY),
    "categories": table(
        **model(),
        grouping=choice("source", "category"),
        group=name(),
        **SUMMARY,
        small_n=dy.Bool(),
    ),
    "scoring": table(**model(), scoring=choice(*SCORINGS), **SUMMARY),
    "thresholds": table(
        **model(),
        threshold=dy.Float64(primary_key=True, min=0, max=1),
        **counts("n_prompts", "n_invalid"),
        **estimates(share, "unstable_rate"),
    ),
    "temperature_effect": table(
        **model(),
        unit=choice("prompt", "model_prompt_pair"),
        **counts("n", "n_invalid"),
        friedman_chi2=positive(),
        friedman_p=share(),
        kendalls_w=share(),
        page_z=real(),
        page_p=share(),
        **estimates(signed, "ssi_drop"),
    ),
    "temperature_pairs": table(
        **model(),
        temperature_a=temperature(),
        temperature_b=temperature(),
        **counts("n", "n_invalid"),
        **estimates(signed, "difference"),
        p=share(),
        p_holm=share(),
    ),
    "correlations": table(
        **model(),
        prompts=choice("all", "any_comply"),
        **counts("n", "n_invalid"),
        **estimates(signed, "spearman"),
    ),
    "model_pairs": table(
        judge=name(),
        model_a=name(),
        model_b=name(),
        measure=choice("mean_ssi", "flip_rate", "refusal_rate"),
        **counts("n", "n_invalid"),
        **estimates(signed, "difference"),
        p=share(),
        p_holm=share(),
    ),
    "judge_agreement": table(
        **judges(),
        **counts("n", "n_invalid"),
        **estimates(share, "agreement"),
        **estimates(signed, "kappa", "krippendorff_alpha", "gwet_ac1"),
        agreement_with_invalid=share(),
        kappa_with_invalid=signed(),
    ),
    "judge_confusion": table(
        **judges(),
        label_a=choice(*VALID_LABELS),
        label_b=choice(*VALID_LABELS),
        **counts("n", "n_invalid"),
        **estimates(share, "share"),
    ),
    "consensus": table(
        **judges(),
        labels=choice("both", "judge_a", "judge_a_random", "judge_b", "judge_b_random"),
        **counts("n_prompts", "n_labels", "n_invalid"),
        **estimates(share, "mean_ssi", "flip_rate", "unstable_rate"),
    ),
    "judge_noise": table(
        judge=name(),
        # "none" where the method needs no other judge.
        other_judge=name(),
        model=name(),
        scope=name(),
        method=choice("two_judges", "identical_text"),
        measure=dy.Enum(["flip_rate", "pair_disagreement"]),
        **counts("n_prompts", "n_invalid"),
        rate=share(),
        rate_expected=share(),
        check_p=share(),
        **estimates(share, "rate_noise_free"),
        **estimates(at_most_one, "judge_share"),
        **estimates(share, "error_rate"),
    ),
    "sample_size": table(
        **model(),
        scope=name(),
        n=dy.Int64(primary_key=True, min=1),
        **counts("n_prompts", "n_invalid"),
        **estimates(share, "agreement", "out_of_sample"),
    ),
    "stability_measures": table(
        **model(),
        samples=choice("all", "5"),
        **counts("n_prompts", "n_invalid"),
        **estimates(share, "mean_ssi", "flip_rate", "pair_disagreement"),
        **estimates(positive, "entropy"),
        **estimates(signed, "fleiss_kappa", "gwet_ac1"),
    ),
    "first_comply": table(
        **model(),
        prompts=choice("all", "never_refuses", "refuses", "mostly_refuses"),
        **counts("n_prompts", "n_invalid", "n_censored"),
        **estimates(share, *(f"comply_in_{k}" for k in (1, 3, 5, 10, 20))),
        **estimates(positive, "median_tries", "median_tries_seen"),
    ),
    "seed_effect": table(
        **model(),
        temperature=temperature(),
        **counts("n_seeds", "n_prompts", "n_invalid"),
        variance=positive(),
        expected_variance=positive(),
        variance_inflation=positive(),
        p=share(),
    ),
    "alarms": table(
        **model(),
        alarm=choice(
            "invalid_verdicts",
            "systematic_failure",
            "missing_responses",
            "missing_cells",
            "shared_seeds",
            "identical_text_relabelled",
            "truncated_replies",
        ),
        raised=dy.Bool(),
        **counts("n", "of", "n_invalid"),
        ids=dy.String(),
    ),
}

# Made of the other tables, and only where the configuration names published figures.
REPLICATION = table(
    id=name(),
    where=dy.String(),
    paper=dy.Float64(),
    recomputed=real(),
    definition=dy.String(nullable=True),
    difference=real(),
    verdict=dy.Enum(
        [
            "reproduced",
            "reproduced under another definition",
            "not reproduced",
            "data not given",
        ]
    ),
)

# Of manifests and benchmark files, in a run that asks models.
COST = table(
    stage=choice("generate", "judge", "all"),
    # "none" where replies are generated.
    judge=name(),
    model=name(),
    **counts("jobs", "calls"),
    **dict.fromkeys(("n_invalid", "input_tokens", "output_tokens"), dy.Int64(nullable=True, min=0)),
    tokens_per_call=positive(),
    seconds=positive(),
    gpu_hours=positive(),
    money=positive(),
    currency=dy.String(nullable=True),
)

# Those of a run that has what they are made of.
MORE_TABLES = {"replication": REPLICATION, "cost": COST}
set_names(TABLES | MORE_TABLES)
