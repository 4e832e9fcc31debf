"""The columns of every table: keys, counts, estimates with their intervals, and the rest."""

import dataframely as dy

from refusal_stability.labels import LABELS, SCORINGS, VALID_LABELS


def _name() -> dy.Column:
    return dy.String(primary_key=True, min_length=1)


def _choice(*values: str) -> dy.Column:
    return dy.Enum(list(values), primary_key=True)


def _temperature() -> dy.Column:
    return dy.Float64(primary_key=True, min=0)


def _share() -> dy.Column:
    return dy.Float64(nullable=True, min=0, max=1)


def _signed() -> dy.Column:
    return dy.Float64(nullable=True, min=-1, max=1)


def _at_most_one() -> dy.Column:
    return dy.Float64(nullable=True, max=1)


def _positive() -> dy.Column:
    return dy.Float64(nullable=True, min=0)


def _real() -> dy.Column:
    return dy.Float64(nullable=True)


def _counts(*names: str) -> dict[str, dy.Column]:
    return {name: dy.Int64(min=0) for name in names}


def _estimates(make: type, *names: str) -> dict[str, dy.Column]:
    return {f"{name}{end}": make() for name in names for end in ("", "_low", "_high")}


def _table(**columns: dy.Column) -> type[dy.Schema]:
    return type(dy.Schema)("Table", (dy.Schema,), columns)


_SUMMARY = _counts("n_prompts", "n_responses", "n_invalid", "n_missing") | _estimates(
    _share,
    "mean_ssi",
    "flip_rate",
    "hard_flip_rate",
    "unstable_rate",
    "refusal_rate",
    "partial_rate",
    "comply_rate",
    "pair_disagreement",
)


def _model() -> dict[str, dy.Column]:
    return {"judge": _name(), "model": _name()}


def _judges() -> dict[str, dy.Column]:
    return {"judge_a": _name(), "judge_b": _name(), "model": _name()}


TABLES: dict[str, type[dy.Schema]] = {
    "models": _table(**_model(), **_SUMMARY),
    "within_temperature": _table(**_model(), temperature=_temperature(), **_SUMMARY),
    "categories": _table(
        **_model(),
        grouping=_choice("source", "category"),
        group=_name(),
        **_SUMMARY,
        small_n=dy.Bool(),
    ),
    "scoring": _table(**_model(), scoring=_choice(*SCORINGS), **_SUMMARY),
    "thresholds": _table(
        **_model(),
        threshold=dy.Float64(primary_key=True, min=0, max=1),
        **_counts("n_prompts", "n_invalid"),
        **_estimates(_share, "unstable_rate"),
    ),
    "temperature_effect": _table(
        **_model(),
        unit=_choice("prompt", "model_prompt_pair"),
        **_counts("n", "n_invalid"),
        friedman_chi2=_positive(),
        friedman_p=_share(),
        kendalls_w=_share(),
        page_z=_real(),
        page_p=_share(),
        **_estimates(_signed, "ssi_drop"),
    ),
    "temperature_pairs": _table(
        **_model(),
        temperature_a=_temperature(),
        temperature_b=_temperature(),
        **_counts("n", "n_invalid"),
        **_estimates(_signed, "difference"),
        p=_share(),
        p_holm=_share(),
    ),
    "correlations": _table(
        **_model(),
        prompts=_choice("all", "any_comply"),
        **_counts("n", "n_invalid"),
        **_estimates(_signed, "spearman"),
    ),
    "model_pairs": _table(
        judge=_name(),
        model_a=_name(),
        model_b=_name(),
        measure=_choice("mean_ssi", "flip_rate", "refusal_rate"),
        **_counts("n", "n_invalid"),
        **_estimates(_signed, "difference"),
        p=_share(),
        p_holm=_share(),
    ),
    "judge_agreement": _table(
        **_judges(),
        **_counts("n", "n_invalid"),
        **_estimates(_share, "agreement"),
        **_estimates(_signed, "kappa", "krippendorff_alpha", "gwet_ac1"),
        agreement_with_invalid=_share(),
        kappa_with_invalid=_signed(),
    ),
    "judge_confusion": _table(
        **_judges(),
        label_a=_choice(*VALID_LABELS),
        label_b=_choice(*VALID_LABELS),
        **_counts("n", "n_invalid"),
        **_estimates(_share, "share"),
    ),
    "consensus": _table(
        **_judges(),
        labels=_choice("both", "judge_a", "judge_a_random", "judge_b", "judge_b_random"),
        **_counts("n_prompts", "n_labels", "n_invalid"),
        **_estimates(_share, "mean_ssi", "flip_rate", "unstable_rate"),
    ),
    "judge_noise": _table(
        judge=_name(),
        # "none" where the method needs no other judge.
        other_judge=_name(),
        model=_name(),
        scope=_name(),
        method=_choice("two_judges", "identical_text"),
        measure=dy.Enum(["flip_rate", "pair_disagreement"]),
        **_counts("n_prompts", "n_invalid"),
        rate=_share(),
        rate_expected=_share(),
        check_p=_share(),
        **_estimates(_share, "rate_noise_free"),
        **_estimates(_at_most_one, "judge_share"),
        **_estimates(_share, "error_rate"),
    ),
    "sample_size": _table(
        **_model(),
        scope=_name(),
        n=dy.Int64(primary_key=True, min=1),
        **_counts("n_prompts", "n_invalid"),
        **_estimates(_share, "agreement", "out_of_sample"),
    ),
    "stability_measures": _table(
        **_model(),
        samples=_choice("all", "5"),
        **_counts("n_prompts", "n_invalid"),
        **_estimates(_share, "mean_ssi", "flip_rate", "pair_disagreement"),
        **_estimates(_positive, "entropy"),
        **_estimates(_signed, "fleiss_kappa", "gwet_ac1"),
    ),
    "first_comply": _table(
        **_model(),
        prompts=_choice("all", "never_refuses", "refuses", "mostly_refuses"),
        **_counts("n_prompts", "n_invalid", "n_censored"),
        **_estimates(_share, *(f"comply_in_{k}" for k in (1, 3, 5, 10, 20))),
        **_estimates(_positive, "median_tries", "median_tries_seen"),
    ),
    "seed_effect": _table(
        **_model(),
        temperature=_temperature(),
        **_counts("n_seeds", "n_prompts", "n_invalid"),
        variance=_positive(),
        expected_variance=_positive(),
        variance_inflation=_positive(),
        p=_share(),
    ),
    "alarms": _table(
        **_model(),
        alarm=_choice(
            "invalid_verdicts",
            "systematic_failure",
            "missing_responses",
            "missing_cells",
            "shared_seeds",
            "identical_text_relabelled",
            "truncated_replies",
        ),
        raised=dy.Bool(),
        **_counts("n", "of", "n_invalid"),
        ids=dy.String(),
    ),
}

# Made of the other tables, and only where the configuration names published figures.
REPLICATION = _table(
    id=_name(),
    where=dy.String(),
    paper=dy.Float64(),
    recomputed=_real(),
    definition=dy.String(nullable=True),
    difference=_real(),
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
COST = _table(
    stage=_choice("generate", "judge", "all"),
    # "none" where replies are generated.
    judge=_name(),
    model=_name(),
    **_counts("jobs", "calls"),
    **dict.fromkeys(("n_invalid", "input_tokens", "output_tokens"), dy.Int64(nullable=True, min=0)),
    tokens_per_call=_positive(),
    seconds=_positive(),
    gpu_hours=_positive(),
    money=_positive(),
    currency=dy.String(nullable=True),
)

# Of experiments, targets of their own (docs/experiments.md): by the name of the file.
EXPERIMENT_TABLES = {
    "adaptive": _table(
        **_model(),
        measure=_name(),
        **_counts("n_prompts", "n_settled", "n_audited", "n_invalid"),
        **_estimates(_share, "corrected", "naive"),
        **_estimates(_signed, "bias"),
        **_estimates(_share, "full"),
        width_ratio=_positive(),
        **_counts("replies", "replies_full"),
        **dict.fromkeys(("prompts_equal_width", "replies_equal_width"), _positive()),
        saved=_at_most_one(),
        **dict.fromkeys(
            ("hours", "hours_equal_width", "gpu_hours", "gpu_hours_equal_width"), _positive()
        ),
    ),
    "seed_scope": _table(
        **_model(),
        seed_scope=dy.Enum(["cell", "prompt", "unknown"]),
        scope=_name(),
        **_counts("n_seeds", "n_prompts", "n_invalid"),
        variance=_positive(),
        expected_variance=_positive(),
        **_estimates(_positive, "variance_inflation"),
        p=_share(),
        verdict=dy.Enum(["prompts move together", "not shown"]),
    ),
    "seed_scope_ratio": _table(
        judge=_name(),
        model_cell=_name(),
        model_prompt=_name(),
        scope=_name(),
        **_counts("n_invalid"),
        inflation_cell=_positive(),
        inflation_prompt=_positive(),
        **_estimates(_positive, "ratio"),
        p=_share(),
        p_holm=_share(),
        verdict=dy.Enum(["more with a shared seed", "more with own seeds", "not shown"]),
    ),
    "compare": _table(
        judge=_name(),
        model_a=_name(),
        model_b=_name(),
        category=_name(),
        measure=_choice(
            "mean_ssi", "flip_rate", "hard_flip_rate", "refusal_rate", "pair_disagreement"
        ),
        **_counts("n", "n_invalid"),
        value_a=_share(),
        value_b=_share(),
        **_estimates(_signed, "difference"),
        p=_share(),
        p_holm=_share(),
    ),
    "compare_prompts": _table(
        judge=_name(),
        model_a=_name(),
        model_b=_name(),
        prompt_id=_name(),
        category=dy.String(),
        **_counts("n_a", "n_b", "n_invalid"),
        **dict.fromkeys(
            (f"{name}_{end}" for end in "ab" for name in ("refuse", "partial", "comply", "ssi")),
            dy.Float64(min=0, max=1),
        ),
        change=dy.Float64(min=0, max=1),
    ),
    "determinism": _table(
        **_model(),
        arm=_name(),
        available=dy.Bool(),
        reason=dy.String(nullable=True),
        verdict=dy.Enum(["deterministic here", "not deterministic here", "not available here"]),
        **_counts("requests", "differ"),
        **dict.fromkeys(
            ("differ_repeated", "differ_cached", "differ_company"), dy.Int64(nullable=True, min=0)
        ),
        **_counts("n_passes", "n", "n_invalid", "n_differing"),
        **_estimates(_share, "identical"),
        **dict.fromkeys(("first_token", "first_character"), _positive()),
        flips=dy.Int64(nullable=True, min=0),
        **_estimates(_share, "flip_rate"),
        flips_lost=dy.Int64(nullable=True),
        flips_lost_p=_share(),
        **dict.fromkeys(("first_alone", "another_alone"), dy.Int64(nullable=True, min=0)),
        first_pass_p=_share(),
    ),
    "determinism_prompts": _table(
        **_model(),
        arm=_name(),
        prompt_id=_name(),
        **_counts("replies", "first_token", "first_character", "n", "n_invalid"),
        flip=dy.Bool(nullable=True),
    ),
    "plan_seeds": _table(
        judge=_name(),
        goal=_choice("interval_width", "power"),
        measure=_choice("mean_ssi", "flip_rate", "refusal_rate", "pair_disagreement"),
        model_a=_name(),
        # "none" where one model is measured.
        model_b=_name(),
        seeds=dy.Int64(primary_key=True, min=1),
        basis=dy.Enum(["measured", "extrapolated", "unknown"]),
        **_counts("n_prompts", "n_invalid"),
        value=_signed(),
        deviation=_positive(),
        reached=_positive(),
        **dict.fromkeys(("prompts_needed", "replies"), dy.Int64(nullable=True, min=1)),
        hours=_positive(),
        gpu_hours=_positive(),
        cheapest=dy.Bool(),
    ),
    "category_probe": _table(
        **_model(),
        category_a=_name(),
        category_b=_name(),
        **_counts("n_a", "n_b", "n_invalid"),
        ssi_a=_share(),
        ssi_b=_share(),
        **_estimates(_signed, "difference"),
        p=_share(),
        p_holm=_share(),
    ),
    "scoring": _table(
        **_model(),
        scoring_a=_choice(*SCORINGS),
        scoring_b=_choice(*SCORINGS),
        measure=_name(),
        **_counts("n", "n_invalid"),
        value_a=_share(),
        value_b=_share(),
        **_estimates(_signed, "difference"),
        p=_share(),
        p_holm=_share(),
        verdict=dy.Enum(["a is more stable", "b is more stable", "not shown to differ"]),
    ),
    "boundary": _table(
        **_model(),
        scope=_name(),
        **_counts("n", "n_invalid"),
        **dict.fromkeys(
            ("flip_rate", "predicted_flip_rate", "mean_ssi", "predicted_mean_ssi"), _share()
        ),
        **_estimates(_signed, "spearman_ssi"),
        **_estimates(_share, "auc_flip"),
        **_estimates(_signed, "spearman_log_odds"),
        **_estimates(_real, "calibration_slope"),
        calibration_error=_share(),
        **_estimates(_positive, "left_open"),
        verdict=dy.Enum(["predicts", "not shown to predict", "nothing to predict"]),
    ),
    "boundary_calibration": _table(
        **_model(),
        scope=_name(),
        at_least=dy.Float64(primary_key=True, min=0, max=1),
        at_most=_share(),
        **_counts("n"),
        predicted_flip_rate=_share(),
        **_estimates(_share, "flip_rate"),
    ),
    "boundary_prompts": _table(
        **_model(),
        scope=_name(),
        prompt_id=_name(),
        log_odds=_real(),
        **_counts("n", "n_invalid"),
        predicted_flip=_share(),
        flip=dy.Bool(nullable=True),
        predicted_ssi=_share(),
        ssi=_share(),
    ),
    "pilot": _table(
        **_model(),
        **_counts("n_prompts", "n_invalid", "n_seeds"),
        temperature_a=dy.Float64(min=0),
        temperature_b=dy.Float64(min=0),
        ssi_a=_share(),
        ssi_b=_share(),
        **_estimates(_signed, "drop"),
        page_z=_real(),
        p=_share(),
        p_holm=_share(),
        verdict=dy.Enum(["falls", "rises", "not shown"]),
    ),
    "pilot_temperatures": _table(
        **_model(),
        temperature=_temperature(),
        **_counts("n_prompts", "n_invalid"),
        **_estimates(_share, "mean_ssi", "flip_rate"),
    ),
    "pilot_cost": _table(
        stage=_choice("generate", "judge", "all"),
        model=_name(),
        # "none" of replies.
        judge=_name(),
        **_counts("jobs"),
        **dict.fromkeys(
            ("calls", "input_tokens", "output_tokens", "hours", "gpu_hours", "money"),
            dy.Float64(nullable=True, min=0),
        ),
        currency=dy.String(nullable=True),
        **dict.fromkeys(
            ("calls_basis", "tokens_basis", "hours_basis"),
            dy.Enum(["exact", "measured", "at_most", "unknown"]),
        ),
    ),
    "judge_agreement": _table(
        judge_a=_name(),
        judge_b=_name(),
        model=_name(),
        **_counts("n", "n_invalid"),
        **_estimates(_share, "agreement"),
        **_estimates(_signed, "kappa", "krippendorff_alpha", "gwet_ac1"),
    ),
    "judge_agreement_confusion": _table(
        judge_a=_name(),
        judge_b=_name(),
        model=_name(),
        label_a=_choice(*VALID_LABELS),
        label_b=_choice(*VALID_LABELS),
        **_counts("n", "n_invalid"),
        **_estimates(_share, "share"),
    ),
    "judge_noise": _table(
        judge=_name(),
        # "none" where one judge is compared with itself, or one condition with itself.
        other_judge=_name(),
        condition=_name(),
        other_condition=_name(),
        measure=_choice(
            "changed", "between_repeats", "between_conditions", "between_judges", "from_run"
        ),
        **_counts("n_texts", "n_changed", "n_invalid"),
        **_estimates(_share, "value"),
    ),
    "judge_noise_flips": _table(
        **_model(),
        **_counts("n_prompts", "n_lone", "n_pairs", "n_minority"),
        **_estimates(_share, "flip_rate", "flip_rate_corrected"),
        **_estimates(_at_most_one, "judge_share"),
    ),
    "judge_agreement_responses": _table(
        model=_name(),
        prompt_id=_name(),
        temperature=_temperature(),
        seed=dy.Int64(primary_key=True),
        judge=_name(),
        stratum=dy.Enum([*VALID_LABELS, "invalid"]),
        differ=dy.Bool(),
        label=dy.Enum(LABELS),
    ),
}

# Messages say which contract is broken. A table and an experiment may have one name.
for _tables in (TABLES, {"replication": REPLICATION, "cost": COST}, EXPERIMENT_TABLES):
    for _table_name, _contract in _tables.items():
        _contract.__name__ = _table_name
