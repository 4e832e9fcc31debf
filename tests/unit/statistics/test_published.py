"""The study's published labels give its published figures (paper.md, arXiv 2512.12066)."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import stats
from statsmodels.stats.inter_rater import cohens_kappa, fleiss_kappa

from refusal_stability.core.labels import LABELS, VALID_LABELS
from refusal_stability.schemas.tables import TABLES
from refusal_stability.statistics.stability import stability
from refusal_stability.statistics.tables import Settings, make_tables

FOLDER = Path(
    os.environ.get("REFUSAL_STABILITY_PUBLISHED", Path(__file__).parents[4] / "shared/published")
)
pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(),
    reason=f"the published labels are not in {FOLDER}: set REFUSAL_STABILITY_PUBLISHED",
)
SETTINGS = Settings(
    unstable_below=0.8, max_invalid_share=0.01, bootstrap_resamples=400, bootstrap_seed=1
)
# One model has several spellings.
MODELS = {
    "meta-llama/Llama-3.1-8B-Instruct": "llama",
    "meta-llama_Llama-3.1-8B-Instruct": "llama",
    "meta_llama_Llama_3.1_8B_Instruct": "llama",
    "Qwen/Qwen2.5-7B-Instruct": "qwen2.5",
    "Qwen_Qwen2.5-7B-Instruct": "qwen2.5",
    "Qwen_Qwen2.5_7B_Instruct": "qwen2.5",
}
FILES = {"haiku": "claude_haiku_llama_qwen25", "local": "local_judge_llama_qwen25"}
TEMPERATURES = (0.0, 0.3, 0.7, 1.0)


@pytest.fixture(scope="module")
def verdicts() -> dict[str, pl.DataFrame]:
    """Each judge's labels."""
    return {
        judge: pl.read_csv(FOLDER / f"{name}.csv").with_columns(
            pl.col("model").replace_strict(MODELS),
            judge=pl.lit(judge),
            response_sha256=pl.lit(None, dtype=pl.String),
        )
        for judge, name in FILES.items()
    }


@pytest.fixture(scope="module")
def tables(verdicts: dict[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    tables = make_tables(
        [(judge, stability(table)) for judge, table in verdicts.items()],
        [
            (judge, model, table.filter(model=model))
            for judge, table in verdicts.items()
            for model in ("llama", "qwen2.5")
        ],
        pl.read_csv(FOLDER / "prompts.csv"),
        SETTINGS,
    )
    return {name: TABLES[name].validate(table, cast=True) for name, table in tables.items()}


@pytest.fixture(scope="module")
def labels(verdicts: dict[str, pl.DataFrame]) -> dict[tuple[str, str], np.ndarray]:
    """(judge, model): labels, (prompts, temperatures, seeds), without the package's help."""
    found = {}
    for judge, table in verdicts.items():
        # 876 prompts x 4 temperatures x 5 seeds, nothing missing.
        for model in ("llama", "qwen2.5"):
            of_model = table.filter(model=model).sort("prompt_id", "temperature", "seed")
            codes = of_model["label"].cast(pl.Enum(LABELS)).to_physical().to_numpy()
            found[judge, model] = codes.reshape(876, 4, 5)
    return found


def value(table: pl.DataFrame, column: str, **keys: Any) -> Any:
    return table.filter(**keys)[column].item()


@pytest.mark.parametrize(
    ("model", "column", "expected", "digits"),
    [
        ("llama", "mean_ssi", 0.9436, 4),
        ("qwen2.5", "mean_ssi", 0.9380, 4),
        ("llama", "flip_rate", 0.2728, 4),
        ("qwen2.5", "flip_rate", 0.2626, 4),
        ("llama", "unstable_rate", 0.1039, 4),
        ("qwen2.5", "unstable_rate", 0.1199, 4),
        ("llama", "refusal_rate", 0.793, 3),
        ("qwen2.5", "refusal_rate", 0.813, 3),
        # Both models, where paper.md's consensus begins.
        ("all", "mean_ssi", 0.941, 3),
        ("all", "flip_rate", 0.268, 3),
    ],
)
def test_models(
    tables: dict[str, pl.DataFrame], model: str, column: str, expected: float, digits: int
) -> None:
    found = value(tables["models"], column, judge="haiku", model=model)
    assert round(found, digits) == expected


@pytest.mark.parametrize("judge", list(FILES))
@pytest.mark.parametrize(("model", "n"), [("llama", 17520), ("qwen2.5", 17520), ("all", 35040)])
def test_every_published_response_is_counted(
    tables: dict[str, pl.DataFrame], judge: str, model: str, n: int
) -> None:
    # 876 prompts x 4 temperatures x 5 seeds
    assert 876 * 20 == 17520
    keys = {"judge": judge, "model": model}
    assert value(tables["models"], "n_responses", **keys) == n
    assert value(tables["models"], "n_missing", **keys) == 0
    assert value(tables["models"], "n_prompts", **keys) == 876


@pytest.mark.parametrize(("model", "expected"), [("llama", -0.698), ("qwen2.5", -0.672)])
def test_spearman(tables: dict[str, pl.DataFrame], model: str, expected: float) -> None:
    keys = {"judge": "haiku", "model": model, "prompts": "all"}
    assert round(value(tables["correlations"], "spearman", **keys), 3) == expected


def counted(verdicts: dict[str, pl.DataFrame], model: str, names: tuple[str, ...]) -> np.ndarray:
    """Return the table of the two judges' labels, joined without the package's help."""
    keys = ["model", "prompt_id", "temperature", "seed"]
    pairs = verdicts["haiku"].join(verdicts["local"], on=keys)
    pairs = pairs if model == "all" else pairs.filter(model=model)
    found = {(a, b): n for a, b, n in pairs.group_by("label", "label_right").len().iter_rows()}
    return np.array([[found.get((a, b), 0) for b in names] for a in names])


# The paper takes UNKNOWN for a fourth label; here it is none, and counted apart.
@pytest.mark.parametrize(
    ("model", "n", "n_invalid", "paper_agreement", "paper_kappa", "digits"),
    [
        ("llama", 17499, 21, 0.917, 0.744, (3, 3)),
        ("qwen2.5", 17506, 14, 0.863, 0.460, (3, 3)),
        ("all", 35005, 35, 0.89018, 0.6201, (5, 4)),
    ],
)
def test_agreement_of_two_judges(
    tables: dict[str, pl.DataFrame],
    verdicts: dict[str, pl.DataFrame],
    model: str,
    n: int,
    n_invalid: int,
    paper_agreement: float,
    paper_kappa: float,
    digits: tuple[int, int],
) -> None:
    row = tables["judge_agreement"].filter(model=model).row(0, named=True)
    assert (row["n"], row["n_invalid"]) == (n, n_invalid)
    valid = counted(verdicts, model, VALID_LABELS)
    assert valid.sum() == n
    assert row["agreement"] == pytest.approx(np.trace(valid) / n)
    assert row["kappa"] == pytest.approx(cohens_kappa(valid).kappa)
    assert round(row["agreement_with_invalid"], digits[0]) == paper_agreement
    assert round(row["kappa_with_invalid"], digits[1]) == paper_kappa
    with_unknown = counted(verdicts, model, (*VALID_LABELS, "UNKNOWN"))
    assert with_unknown.sum() == n + n_invalid
    assert row["kappa_with_invalid"] == pytest.approx(cohens_kappa(with_unknown).kappa)
    # The judges never agree on UNKNOWN.
    assert row["agreement_with_invalid"] == pytest.approx(np.trace(valid) / (n + n_invalid))


@pytest.mark.parametrize(
    ("model", "agreement", "kappa"),
    [("llama", 0.91845, 0.74617), ("qwen2.5", 0.86370, 0.46006), ("all", 0.89107, 0.62141)],
)
def test_agreement_on_valid_labels(
    tables: dict[str, pl.DataFrame], model: str, agreement: float, kappa: float
) -> None:
    table = tables["judge_agreement"]
    assert value(table, "agreement", model=model) == pytest.approx(agreement, abs=5e-6)
    assert value(table, "kappa", model=model) == pytest.approx(kappa, abs=5e-6)


def test_confusion_is_that_of_all_responses(
    tables: dict[str, pl.DataFrame], verdicts: dict[str, pl.DataFrame]
) -> None:
    for model in ("llama", "qwen2.5", "all"):
        found = tables["judge_confusion"].filter(model=model)["n"].to_numpy().reshape(3, 3)
        assert np.array_equal(found, counted(verdicts, model, VALID_LABELS))


@pytest.mark.parametrize(("column", "expected"), [("mean_ssi", 0.965), ("flip_rate", 0.175)])
def test_consensus_is_the_mean_of_the_models_own(
    tables: dict[str, pl.DataFrame], column: str, expected: float
) -> None:
    models = [
        value(tables["consensus"], column, labels="both", model=model)
        for model in ("llama", "qwen2.5")
    ]
    assert round(np.mean(models), 3) == expected


def test_fewer_labels_explain_a_part_of_the_consensus(tables: dict[str, pl.DataFrame]) -> None:
    flips = {
        labels: value(tables["consensus"], "flip_rate", labels=labels, model="llama")
        for labels in ("both", "judge_a", "judge_a_random")
    }
    assert flips["both"] < flips["judge_a_random"] < flips["judge_a"]


@pytest.mark.parametrize(("n", "expected"), [(1, 0.9243), (3, 0.9503), (5, 0.9628), (10, 0.9777)])
def test_sample_size(tables: dict[str, pl.DataFrame], n: int, expected: float) -> None:
    keys = {"judge": "local", "model": "llama", "scope": "pooled", "n": n}
    assert round(value(tables["sample_size"], "agreement", **keys), 4) == expected


@pytest.mark.parametrize(("model", "lowest", "highest"), [("llama", 11, 28), ("qwen2.5", 4, 16)])
def test_shared_seeds(
    tables: dict[str, pl.DataFrame], model: str, lowest: int, highest: int
) -> None:
    table = tables["seed_effect"].filter(pl.col("temperature") > 0, judge="haiku", model=model)
    ratios = table["variance_inflation"]
    assert (round(ratios.min()), round(ratios.max())) == (lowest, highest)
    assert table["p"].max() <= 0.01
    at_0 = tables["seed_effect"].filter(judge="haiku", model=model, temperature=0.0)
    assert at_0["p"].item() > 0.05
    alarms = tables["alarms"].filter(judge="haiku", model=model, alarm="shared_seeds")
    assert alarms.select("raised", "n", "ids").row(0) == (True, 3, "T0.3 T0.7 T1")


# paper.md gives the lowest and the highest rate of the four models: 2.1% and 6.4%.
@pytest.mark.parametrize("model", ["llama", "qwen2.5"])
def test_hard_flips_lie_in_the_range_of_the_four_models(
    tables: dict[str, pl.DataFrame], labels: dict[tuple[str, str], np.ndarray], model: str
) -> None:
    found = value(tables["models"], "hard_flip_rate", judge="haiku", model=model)
    assert 0.0205 <= found < 0.0645
    of_prompt = labels["haiku", model].reshape(876, 20)
    hard = (of_prompt == 0).any(axis=1) & (of_prompt == 2).any(axis=1)
    assert found == pytest.approx(hard.mean())


@pytest.mark.parametrize("model", ["llama", "qwen2.5"])
def test_temperature_effect_is_scipys_on_blocks_of_prompts(
    tables: dict[str, pl.DataFrame], labels: dict[tuple[str, str], np.ndarray], model: str
) -> None:
    # (prompts, temperatures), all labels valid under this judge.
    ssi = {
        each: np.max([(labels["haiku", each] == c).sum(axis=2) for c in range(3)], axis=0) / 5
        for each in ("llama", "qwen2.5")
    }
    table = tables["temperature_effect"].filter(judge="haiku")
    expected = stats.friedmanchisquare(*ssi[model].T)
    of_model = table.filter(model=model).row(0, named=True)
    assert of_model["n"] == 876
    assert of_model["friedman_chi2"] == pytest.approx(expected.statistic)
    assert of_model["kendalls_w"] == pytest.approx(expected.statistic / (876 * 3))
    assert of_model["ssi_drop"] == pytest.approx((ssi[model][:, 0] - ssi[model][:, 3]).mean())
    # As the paper has it: (model, prompt) pairs for blocks, here of two of the four models.
    pairs = stats.friedmanchisquare(*np.concatenate(list(ssi.values())).T)
    of_pairs = table.filter(unit="model_prompt_pair").row(0, named=True)
    assert of_pairs["n"] == 2 * 876
    assert of_pairs["friedman_chi2"] == pytest.approx(pairs.statistic)
    mean = np.round((ssi["llama"] + ssi["qwen2.5"]) / 2, 12)
    of_all = table.filter(model="all", unit="prompt").row(0, named=True)
    assert of_all["friedman_chi2"] == pytest.approx(stats.friedmanchisquare(*mean.T).statistic)


@pytest.mark.parametrize("model", ["llama", "qwen2.5"])
def test_fleiss_kappa_is_that_of_statsmodels(
    tables: dict[str, pl.DataFrame], labels: dict[tuple[str, str], np.ndarray], model: str
) -> None:
    of_prompt = labels["haiku", model].reshape(876, 20)
    counts = np.stack([(of_prompt == c).sum(axis=1) for c in range(3)], axis=1)
    keys = {"judge": "haiku", "model": model, "samples": "all"}
    found = value(tables["stability_measures"], "fleiss_kappa", **keys)
    assert found == pytest.approx(fleiss_kappa(counts))


def test_fewer_samples_look_stabler(tables: dict[str, pl.DataFrame]) -> None:
    table = tables["stability_measures"].filter(judge="haiku", model="all")
    five, every = (table.filter(samples=samples).row(0, named=True) for samples in ("5", "all"))
    assert five["mean_ssi"] > every["mean_ssi"]
    assert five["flip_rate"] < 0.7 * every["flip_rate"]
    assert five["pair_disagreement"] == pytest.approx(every["pair_disagreement"])


def test_first_comply_by_counting(
    tables: dict[str, pl.DataFrame], labels: dict[tuple[str, str], np.ndarray]
) -> None:
    counts = np.concatenate(
        [
            [[(one == c).sum() for c in range(3)] for one in labels["haiku", model]]
            for model in ("llama", "qwen2.5")
        ]
    )
    refuse, comply = counts[:, 0], counts[:, 2]
    groups = {
        "all": comply > 0,
        "never_refuses": (comply > 0) & (refuse == 0),
        "mostly_refuses": (comply > 0) & (refuse > 10),
    }
    table = tables["first_comply"].filter(judge="haiku", model="all")
    for prompts, of in groups.items():
        row = table.filter(prompts=prompts).row(0, named=True)
        assert row["n_prompts"] - row["n_censored"] == of.sum()
        assert row["median_tries_seen"] == pytest.approx(np.median(20 / comply[of]))


def test_sources_are_counted(tables: dict[str, pl.DataFrame]) -> None:
    groups = tables["categories"].filter(judge="haiku", model="llama", grouping="source")
    n = dict(groups.select("group", "n_prompts").iter_rows())
    assert n == {"advbench": 491, "harmbench": 385}


def test_judge_noise_is_most_at_temperature_0(tables: dict[str, pl.DataFrame]) -> None:
    table = tables["judge_noise"].filter(judge="haiku")
    for model, lowest, highest in (("llama", 0.2, 0.45), ("qwen2.5", 0.3, 0.6)):
        share = value(table, "judge_share", model=model, scope="pooled")
        # paper.md: about a third, about a half.
        assert lowest < share < highest
        by_scope = [value(table, "judge_share", model=model, scope=s) for s in ("0", "1")]
        assert by_scope[0] > by_scope[1]
