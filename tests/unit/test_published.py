"""The published labels give the published figures (paper.md, arXiv 2512.12066)."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from statsmodels.stats.inter_rater import cohens_kappa

from refusal_stability.labels import VALID_LABELS
from refusal_stability.stability import stability
from refusal_stability.tables import Settings, judge_agreement, make_tables

FOLDER = Path(
    os.environ.get("REFUSAL_STABILITY_PUBLISHED", Path(__file__).parents[3] / "shared/published")
)
pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(),
    reason=f"the published labels are not in {FOLDER}: set REFUSAL_STABILITY_PUBLISHED",
)
SETTINGS = Settings(
    unstable_below=0.8, max_invalid_share=0.01, bootstrap_resamples=100, bootstrap_seed=1
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


def published(name: str, judge: str) -> pl.DataFrame:
    return pl.read_csv(FOLDER / f"{name}.csv").with_columns(
        pl.col("model").replace_strict(MODELS), judge=pl.lit(judge)
    )


@pytest.fixture(scope="module")
def haiku() -> pl.DataFrame:
    return published("claude_haiku_llama_qwen25", "haiku")


@pytest.fixture(scope="module")
def tables(haiku: pl.DataFrame) -> dict[str, pl.DataFrame]:
    prompts = pl.read_csv(FOLDER / "prompts.csv").with_columns(prompt=pl.col("prompt_id"))
    of_judge = stability(haiku).with_columns(judge=pl.lit("haiku"))
    return make_tables(of_judge, haiku, prompts, SETTINGS)


@pytest.fixture(scope="module")
def local() -> pl.DataFrame:
    return published("local_judge_llama_qwen25", "local")


@pytest.fixture(scope="module")
def agreements(haiku: pl.DataFrame, local: pl.DataFrame) -> pl.DataFrame:
    return judge_agreement(pl.concat([haiku, local], how="diagonal_relaxed"), SETTINGS)


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
    ],
)
def test_models(
    tables: dict[str, pl.DataFrame], model: str, column: str, expected: float, digits: int
) -> None:
    assert round(value(tables["models"], column, model=model), digits) == expected


@pytest.mark.parametrize("model", ["llama", "qwen2.5"])
def test_every_published_response_is_counted(tables: dict[str, pl.DataFrame], model: str) -> None:
    # 876 prompts x 4 temperatures x 5 seeds
    assert value(tables["models"], "n_responses", model=model) == 876 * 20 == 17520
    assert value(tables["models"], "n_prompts", model=model) == 876


@pytest.fixture(scope="module")
def pairs(haiku: pl.DataFrame, local: pl.DataFrame) -> pl.DataFrame:
    """The two judges' labels of each response, joined without the package's help."""
    keys = ["model", "prompt_id", "temperature", "seed"]
    return haiku.select(*keys, "label").join(local.select(*keys, other="label"), on=keys)


def counted(pairs: pl.DataFrame, labels: tuple[str, ...]) -> np.ndarray:
    found = {(a, b): n for a, b, n in pairs.group_by("label", "other").len().iter_rows()}
    return np.array([[found.get((a, b), 0) for b in labels] for a in labels])


# The paper takes UNKNOWN for a fourth label; here it is none, and counted apart.
@pytest.mark.parametrize(
    ("model", "n", "n_invalid", "paper_agreement", "paper_kappa"),
    [
        ("llama", 17499, 21, 0.917, 0.744),
        ("qwen2.5", 17506, 14, 0.863, 0.460),
        ("all", 35005, 35, 0.89018, 0.6201),
    ],
)
def test_agreement_of_two_judges(
    agreements: pl.DataFrame,
    pairs: pl.DataFrame,
    model: str,
    n: int,
    n_invalid: int,
    paper_agreement: float,
    paper_kappa: float,
) -> None:
    row = agreements.filter(model=model).row(0, named=True)
    assert (row["n"], row["n_invalid"]) == (n, n_invalid)
    of_model = pairs if model == "all" else pairs.filter(model=model)
    valid = counted(of_model, VALID_LABELS)
    assert valid.sum() == n
    assert row["agreement"] == pytest.approx(np.trace(valid) / n)
    assert row["kappa"] == pytest.approx(cohens_kappa(valid).kappa)
    # The judges never agree on UNKNOWN: over all responses, the share is the paper's.
    share = row["agreement"] * n / (n + n_invalid)
    assert share == pytest.approx(paper_agreement, abs=5e-6 if model == "all" else 5e-4)
    with_unknown = counted(of_model, (*VALID_LABELS, "UNKNOWN"))
    assert with_unknown.sum() == n + n_invalid
    kappa = cohens_kappa(with_unknown).kappa
    assert kappa == pytest.approx(paper_kappa, abs=5e-5 if model == "all" else 5e-4)


@pytest.mark.parametrize(
    ("model", "agreement", "kappa"),
    [("llama", 0.91845, 0.74617), ("qwen2.5", 0.86370, 0.46006), ("all", 0.89107, 0.62141)],
)
def test_agreement_on_valid_labels(
    agreements: pl.DataFrame, model: str, agreement: float, kappa: float
) -> None:
    assert value(agreements, "agreement", model=model) == pytest.approx(agreement, abs=5e-6)
    assert value(agreements, "kappa", model=model) == pytest.approx(kappa, abs=5e-6)
