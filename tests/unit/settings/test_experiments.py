"""Whom the experiments are about, and what is wrong with a configuration that names nobody."""

from pathlib import Path

import pytest

from refusal_stability.core.errors import ConfigError
from refusal_stability.settings.experiments import check, compared, determinism_model, verdicts_of

MODELS = ["m", "n", "o"]


@pytest.fixture(autouse=True)
def other_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for file in ("j/n", "j/z", "k/n"):
        path = Path(f"results/before/verdicts/{file}.parquet")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def config(**settings: object) -> dict:
    others = {"determinism": {}, "seed_scope": {}}
    return {"run": "after", "experiments": {"compare": settings, **others}}


def test_the_first_two_models_are_compared_unless_two_are_named() -> None:
    assert compared(config(), MODELS) == [("after", "m"), ("after", "n")]
    assert compared(config(models=["o", "m"]), MODELS) == [("after", "o"), ("after", "m")]
    assert compared(config(), ["m"]) == [("after", "m")]


def test_a_model_is_compared_with_itself_in_another_run() -> None:
    of_n = [("after", "n"), ("before", "n")]
    assert compared(config(run="before"), ["n", "m"]) == of_n
    # That run has no m.
    assert compared(config(run="before"), MODELS) == [("after", "m"), ("before", "n")]
    named = config(run="before", models=["m", "z"])
    assert compared(named, MODELS) == [("after", "m"), ("before", "z")]
    assert verdicts_of("before", "n") == [
        f"results/before/verdicts/{judge}/n.parquet" for judge in "jk"
    ]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"models": ["m", "x"]}, r"compare\.models\[1\]: no model 'x'\. Hint: there are m, n, o"),
        ({"models": ["m", "m"]}, "one model twice"),
        ({"run": "after"}, "that is this run"),
        ({"run": "never"}, r"no verdicts in results/never"),
        ({"run": "before", "models": ["m", "m"]}, r"models\[1\]: no model 'm'\. .* are n, z"),
    ],
)
def test_what_is_not_there_is_one_line(settings: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check(config(**settings), MODELS)


def test_nothing_is_wrong_with_what_is_there() -> None:
    for settings in ({}, {"models": ["m", "o"]}, {"run": "before", "models": ["m", "z"]}):
        check(config(**settings), MODELS)


def of_determinism(**settings: object) -> dict:
    models = [{"name": "api"}, {"name": "m", "weights": "w"}, {"name": "n", "weights": "w"}]
    return config() | {
        "models": models,
        "experiments": {"compare": {}, "determinism": settings, "seed_scope": {}},
    }


def test_the_first_model_with_weights_is_run_in_other_ways_unless_one_is_named() -> None:
    assert determinism_model(of_determinism())["name"] == "m"
    assert determinism_model(of_determinism(model="n"))["name"] == "n"
    assert determinism_model(config()) is None
    with pytest.raises(ConfigError, match=r"determinism\.model: no model 'api' with weights"):
        check(of_determinism(model="api"), MODELS)
