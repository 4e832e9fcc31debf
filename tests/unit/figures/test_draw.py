"""Every figure and every caption, of ordinary runs and of runs that lack something."""

import re
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import polars as pl
import pytest
from docutils.core import publish_parts
from jinja2 import Environment, StrictUndefined
from matplotlib.figure import Figure

from refusal_stability.core.labels import VALID_LABELS
from refusal_stability.figures import comparisons
from refusal_stability.figures.draw import FIGURES, TABLES_DRAWN, draw_figures
from refusal_stability.figures.style import (
    COLOURS,
    DASHES,
    KINDS,
    MARKERS,
    OF_SEVERAL,
    STYLE,
    Data,
)
from refusal_stability.report.captions import CaptionTables
from refusal_stability.schemas import storage
from refusal_stability.schemas.tables import TABLES
from refusal_stability.statistics.stability import stability
from refusal_stability.statistics.tables import Settings, make_tables

WORKFLOW = Path(__file__).parents[3] / "workflow"
SETTINGS = Settings(
    unstable_below=0.8, max_invalid_share=0.1, bootstrap_resamples=100, bootstrap_seed=1
)
PROMPTS = pl.DataFrame(
    {
        "prompt_id": [f"{number:012x}" for number in range(40)],
        "source": ["s$1_", "s2"] * 20,
        "category": ["a", "b", None, "d"] * 10,
    }
)


@dataclass(frozen=True)
class Plan:
    models: tuple[str, ...] = ("m", "n")
    judges: tuple[str, ...] = ("j", "k")
    temperatures: tuple[float, ...] = (0.0, 0.5, 1.0)
    seeds: tuple[int, ...] = (1, 2, 3)
    # Replies came from models, with their hashes and lengths; otherwise labels were imported.
    replies: bool = True


PLANS = {
    "models": Plan(),
    "labels": Plan(replies=False),
    "one_model": Plan(models=("m",)),
    "one_judge": Plan(judges=("j",)),
    "one_temperature": Plan(temperatures=(0.7,), seeds=(1, 2, 3, 4, 5)),
    "one_seed": Plan(temperatures=(0.0, 0.2, 0.4, 0.6, 0.8, 1.0), seeds=(1,)),
    "one_of_each": Plan(("m",), ("j",), (0.7,), (1, 2, 3, 4, 5), replies=False),
}


def verdicts(plan: Plan) -> list[tuple[str, str, pl.DataFrame]]:
    rng = np.random.default_rng(1)
    prompts = PROMPTS.select("prompt_id").with_row_index("prompt")
    made = []
    for model in plan.models:
        cells = (
            prompts.join(pl.DataFrame({"temperature": plan.temperatures}), how="cross")
            .join(pl.DataFrame({"seed": plan.seeds}, schema={"seed": pl.Int64}), how="cross")
            .with_columns(model=pl.lit(model))
        )
        # A prompt is mostly refused or mostly not, and less surely so when it is hot.
        number = cells["prompt"].to_numpy()
        true = np.where(number % 3 == 0, 2, 0)
        stray = rng.random(cells.height) < 0.4 * cells["temperature"].to_numpy() * (number % 2)
        true = np.where(stray, 1, true)
        for place, judge in enumerate(plan.judges):
            errs = rng.random(cells.height) < 0.05 * (1 + place)
            said = np.where(errs, rng.integers(0, 3, cells.height), true)
            labels = np.array([*VALID_LABELS, "UNKNOWN"])[said]
            labels[:3] = "UNKNOWN"
            hashes = [f"{text:064x}" for text in number * 3 + true] if plan.replies else None
            made.append(
                (
                    judge,
                    model,
                    cells.drop("prompt").with_columns(
                        label=pl.Series(labels),
                        response_sha256=pl.Series(hashes, dtype=pl.String)
                        if hashes
                        else pl.lit(None, dtype=pl.String),
                    ),
                )
            )
    return made


@dataclass(frozen=True)
class Run:
    data: Data
    folder: Path


def make_run(plan: Plan, folder: Path) -> Run:
    given = verdicts(plan)
    of_judges = {
        judge: stability(pl.concat(table for of, _, table in given if of == judge))
        for judge in plan.judges
    }
    truncated = [(model, PROMPTS.select("prompt_id").head(2)) for model in plan.models]
    with warnings.catch_warnings():
        # Means of nothing, in runs that lack something: tested with the tables.
        warnings.simplefilter("ignore", RuntimeWarning)
        tables = make_tables(
            of_judges.items(), given, PROMPTS, SETTINGS, truncated if plan.replies else ()
        )
    for name, contract in TABLES.items():
        storage.write_csv(tables[name], folder / f"{name}.csv", contract)
    return Run(
        Data(
            judge=plan.judges[0],
            stability=of_judges[plan.judges[0]],
            tables={
                name: storage.read_csv(folder / f"{name}.csv", TABLES[name])
                for name in TABLES_DRAWN
            },
            unstable_below=0.8,
        ),
        folder,
    )


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    folder = tmp_path_factory.mktemp("runs")
    made = {name: make_run(plan, folder / name) for name, plan in PLANS.items()}
    ordinary = made["models"]
    empty = {name: TABLES[name].create_empty() for name in TABLES}
    for name, table in empty.items():
        storage.write_csv(table, folder / "empty" / f"{name}.csv", TABLES[name])
    made["empty"] = Run(
        replace(ordinary.data, stability=ordinary.data.stability.clear(), tables=empty),
        folder / "empty",
    )
    nulls = {}
    for name, contract in TABLES.items():
        table = storage.read_csv(ordinary.folder / f"{name}.csv", contract)
        columns = contract.columns()
        nulls[name] = table.with_columns(
            pl.lit(None, dtype=table.schema[column]).alias(column)
            for column in columns
            if columns[column].nullable
        )
        storage.write_csv(nulls[name], folder / "nulls" / f"{name}.csv", contract)
    made["nulls"] = Run(replace(ordinary.data, tables=nulls), folder / "nulls")
    return made


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


EVERY_RUN = [*PLANS, "empty", "nulls"]


def words(figure: Figure) -> str:
    """All text of a figure; a title may be wrapped."""
    texts = figure.findobj(lambda artist: hasattr(artist, "get_text"))
    return " ".join(" ".join(text.get_text() for text in texts).split())


def draw(name: str, data: Data) -> Figure:
    with plt.rc_context(STYLE):
        figure = FIGURES[name](data)
        # Lays the figure out, which is where what does not fit is found.
        figure.canvas.draw()
    return figure


@pytest.mark.parametrize("run", EVERY_RUN)
def test_every_figure_is_drawn(run: str, runs: dict[str, Run]) -> None:
    for name in FIGURES:
        assert words(draw(name, runs[run].data))


def test_every_figure_is_a_file_whose_bytes_repeat(runs: dict[str, Run], tmp_path: Path) -> None:
    for folder in ("first", "second"):
        draw_figures(runs["models"].data, tmp_path / folder)
    drawn = sorted(path.name for path in (tmp_path / "first").iterdir())
    assert drawn == sorted(f"{name}.{kind}" for name in FIGURES for kind in KINDS)
    for name in drawn:
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()


# Drawn from stability or from counts, which are not null.
NEVER_NULL = {"ssi_distribution", "ssi_and_compliance", "judge_confusion"}


@pytest.mark.parametrize(
    ("run", "name"),
    [("empty", name) for name in FIGURES]
    + [("nulls", name) for name in FIGURES if name not in NEVER_NULL],
)
def test_where_there_is_nothing_a_figure_says_so(run: str, name: str, runs: dict[str, Run]) -> None:
    figure = draw(name, runs[run].data)
    assert not figure.axes
    assert re.search("nothing to (draw|compare)", words(figure))


@pytest.mark.parametrize(
    ("run", "name", "sentence"),
    [
        ("one_model", "model_differences", "two models"),
        ("one_judge", "judge_confusion", "No other judge"),
        ("one_temperature", "temperature_pairs", "two temperatures"),
        ("one_seed", "temperature", "one valid label"),
    ],
)
def test_one_is_nothing_to_compare(
    run: str, name: str, sentence: str, runs: dict[str, Run]
) -> None:
    figure = draw(name, runs[run].data)
    assert sentence in words(figure)
    assert not figure.axes


@pytest.mark.parametrize(
    "name", ["ssi_distribution", "ssi_and_compliance", "categories", "sample_size", "thresholds"]
)
def test_one_reply_a_prompt_says_nothing_of_stability(name: str, runs: dict[str, Run]) -> None:
    data = runs["models"].data
    single = {
        "models": data.tables["models"].with_columns(
            n_responses="n_prompts", n_invalid=pl.lit(0, dtype=pl.Int64)
        ),
        "sample_size": data.tables["sample_size"].filter(n=1),
    }
    figure = draw(name, replace(data, tables=data.tables | single))
    assert "SSI is 1 by definition" in words(figure)


@pytest.mark.parametrize("name", FIGURES)
def test_all_models_are_no_model(name: str, runs: dict[str, Run]) -> None:
    figure = draw(name, runs["models"].data)
    texts = {text.get_text() for text in figure.findobj(lambda a: hasattr(a, "get_text"))}
    assert "all" not in texts
    assert ("mean over models" in texts) == (name == "temperature_pairs")


def test_a_single_model_has_no_panel_of_the_mean(runs: dict[str, Run]) -> None:
    figure = draw("temperature_pairs", runs["one_model"].data)
    assert [axes.get_title() for axes in figure.axes] == ["m"]


@pytest.mark.parametrize(
    "name", ["temperature", "temperature_pairs", "categories", "model_differences", "thresholds"]
)
def test_intervals_are_named(name: str, runs: dict[str, Run]) -> None:
    assert "95% intervals over prompts" in words(draw(name, runs["models"].data))


def differences(models: list[str], judge: str = "j") -> pl.DataFrame:
    """Every pair of models: the difference is the distance in the list, in hundredths."""
    rows = [
        {
            "judge": judge,
            "model_a": first,
            "model_b": second,
            "measure": measure,
            "n": 40,
            "n_invalid": 0,
            "difference": (at_b - at_a) / 100,
            "difference_low": (at_b - at_a - 1) / 100,
            "difference_high": (at_b - at_a + 1) / 100,
            "p": 0.01,
            # Significant at a distance of two and more; unknown at three.
            "p_holm": {1: 0.05, 2: 0.049, 3: None}.get(at_b - at_a, 0.001),
        }
        for measure in ("mean_ssi", "flip_rate", "refusal_rate")
        for at_a, first in enumerate(models)
        for at_b, second in enumerate(models)
        if at_a < at_b
    ]
    return TABLES["model_pairs"].validate(pl.DataFrame(rows), cast=True)


def with_tables(run: Run, **tables: pl.DataFrame) -> Data:
    return replace(run.data, tables=run.data.tables | tables)


def test_filled_markers_are_significant(runs: dict[str, Run]) -> None:
    pairs = differences(["a", "b", "c", "d"])
    figure = draw("model_differences", with_tables(runs["models"], model_pairs=pairs))
    assert len(figure.axes) == 3
    for axes in figure.axes:
        filled, hollow = (container.lines[0] for container in axes.containers)
        # a-b, b-c and c-d are one apart, a-c and b-d two, a-d three.
        assert sorted(filled.get_xdata()) == pytest.approx([0.02, 0.02])
        assert sorted(hollow.get_xdata()) == pytest.approx([0.01, 0.01, 0.01, 0.03])
        assert (filled.get_mfc(), hollow.get_mfc()) == ("black", "white")
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert names[:2] == ["a \N{MINUS SIGN} b", "a \N{MINUS SIGN} c"]
    # Row by row, from above: a-b is in the first.
    assert figure.axes[0].containers[1].lines[0].get_ydata()[0] == 0


@pytest.mark.parametrize("length", [2, 90])
def test_many_models_stay_on_a_page_that_ends(length: int, runs: dict[str, Run]) -> None:
    models = [f"{number:02d}".rjust(length, "x") for number in range(30)]
    data = with_tables(runs["models"], model_pairs=differences(models))
    figure = comparisons.model_differences(data)
    assert figure.get_figheight() < 35
    assert f"the {comparisons.MAX_PAIRS} of 435 pairs" in words(figure)
    # Those farthest apart come first.
    first = figure.axes[0].get_yticklabels()[0].get_text()
    assert first == f"{models[0]} \N{MINUS SIGN} {models[-1]}"


def test_models_are_told_apart(runs: dict[str, Run]) -> None:
    models = [f"m{number}" for number in range(70)]
    rows = runs["models"].data.tables["models"].filter(judge="j", model="m")
    many = pl.concat(rows.with_columns(model=pl.lit(name)) for name in models)
    data = with_tables(runs["models"], models=many)
    looks = [data.look(model) for model in models]
    assert len({(look["color"], look["marker"]) for look in looks}) == 70
    # Without colour: by markers alone, and by markers and dashes on lines.
    assert len({look["marker"] for look in looks[:10]} | {OF_SEVERAL["marker"]}) == 11
    lines = [data.line_look(model) for model in models[:20]]
    assert len({(line["marker"], line["linestyle"]) for line in lines}) == 20
    assert (len(COLOURS), len(MARKERS), len(DASHES)) == (7, 10, 4)


def test_the_judge_of_the_figure_has_the_rows(runs: dict[str, Run]) -> None:
    data = runs["models"].data
    confusion = data.tables["judge_confusion"].filter(model="all")
    n = {(a, b): n for a, b, n in confusion.select("label_a", "label_b", "n").iter_rows()}
    for judge, other in (("j", "k"), ("k", "j")):
        figure = draw("judge_confusion", replace(data, judge=judge))
        (axes,) = figure.axes
        assert (axes.get_ylabel(), axes.get_xlabel()) == (f"{judge} says", f"{other} says")
        for text in axes.texts:
            column, row = (VALID_LABELS[place] for place in text.get_position())
            pair = (row, column) if judge == "j" else (column, row)
            assert text.get_text().splitlines()[1] == str(n.get(pair, 0))
        ends = [text.get_text().splitlines()[0].rstrip("%") for text in axes.texts]
        shares = np.array(ends, dtype=float).reshape(3, 3)
        assert shares.sum(axis=1) == pytest.approx([100] * 3, abs=0.2)


CAPTIONS = [
    "workflow.rst",
    *(f"tables/{name}.rst" for name in TABLES),
    *(f"figures/{name}.rst" for name in FIGURES),
]


@pytest.mark.parametrize("run", EVERY_RUN)
@pytest.mark.parametrize("caption", CAPTIONS)
def test_every_caption_is_written(caption: str, run: str, runs: dict[str, Run]) -> None:
    # As snakemake.report does; unlike there, what is not defined is an error. A run that starts
    # from labels has no models, judges, temperatures or seeds in its configuration.
    environment = Environment(trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)
    config = {
        "run": "a-run",
        "statistics": {"unstable_below": 0.8},
        "tables": CaptionTables(runs[run].folder),
    }
    source = (WORKFLOW / "report" / caption).read_text(encoding="utf-8")
    text = environment.from_string(source).render(
        snakemake=SimpleNamespace(config=config, wildcards=SimpleNamespace(judge="j")),
        categories={},
        files=[],
    )
    assert not re.search(r"\b(None|nan)\b|all models all", text)
    # What reStructuredText cannot read would stand in the report as an error.
    html = publish_parts(
        text, writer="html", settings_overrides={"halt_level": 2, "report_level": 2}
    )["html_body"]
    assert html.count("<li>") == len(re.findall(r"^- ", text, re.M))
