"""The page of a run: one HTML file that holds all it needs and asks for nothing else."""

import base64
import gzip
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import polars as pl
import vl_convert

from refusal_stability.core.cells import temperature_text
from refusal_stability.core.labels import LABELS
from refusal_stability.core.names import ALL_MODELS
from refusal_stability.core.text import counted, decimals
from refusal_stability.report.charts import charts, compared_chart
from refusal_stability.report.embedded_data import PageLabels
from refusal_stability.report.headline import answer
from refusal_stability.report.paper.write import Section
from refusal_stability.report.warnings import PageWarning, unknown, warnings

# In the order in which they use each other.
SCRIPTS = (
    "data",
    "table",
    "charts",
    "explore",
    "list",
    "prompts",
    "replies",
    "detail",
    "compare",
    "main",
)
TEMPLATE, STYLE = "page.html", "page.css"
_NO_GROUP = "(none)"
# A chart of more groups would be taller than anybody scrolls.
_MOST_GROUPS = 30


@dataclass(frozen=True)
class Run:
    """What a page is made of.

    Attributes:
        name: of the run.
        about: what only the configuration knows: "statistics", its key of that name,
            "shared_scope" (models with `seed_scope: cell`), "self_judging" (sentences) and
            "from_labels".
        prompts: keeps the contract :class:`~schemas.stages.PromptInfo`.
        labels: of all verdicts.
        stability: that of the first judge.
        tables: by name, with `replication` and `cost` where the run has them.
        text: of :func:`~report.embedded_data.page_text`, or None where it is hidden.
        other: of :func:`~report.run_comparison.page_compare`, or None.
        methods: how the run was made, of :func:`~report.paper.write.methods`.
    """

    name: str
    about: dict[str, Any]
    prompts: pl.DataFrame
    labels: PageLabels
    stability: pl.DataFrame
    tables: dict[str, pl.DataFrame]
    text: list[str] | None = None
    other: dict[str, Any] | None = None
    methods: Sequence[Section] = ()


def page(run: Run, resources: Path) -> str:
    """Return the HTML of a run's page, from the template, style and scripts in ``resources``."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(resources),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    parts = [(resources / f"{name}.js").read_text(encoding="utf-8") for name in SCRIPTS]
    # Text in an HTML script ends at "</script" and changes at "<!--", wherever they stand.
    library = vl_convert.javascript_bundle()
    library = library.replace("</script", r"<\/script").replace("<!--", r"<\!--")
    own = '(() => {\n"use strict";\n' + "\n".join(parts) + "\n})();\n"
    found = warnings(run.tables["alarms"], run.about["shared_scope"], run.about["self_judging"])
    n_temperatures, n_seeds = len(run.labels.temperatures), len(run.labels.seeds)
    return environment.get_template(TEMPLATE).render(
        run=run,
        answer=answer(
            run.tables,
            run.stability,
            n_temperatures,
            n_seeds,
            tuple(run.about["statistics"][f"bootstrap_{what}"] for what in ("resamples", "seed")),
        ),
        warnings=found,
        unknown=unknown(run.tables["alarms"], run.about["from_labels"]),
        models=_models(run.tables["models"]),
        groupings=list(_groupings(run.prompts)),
        counted=counted,
        decimals=decimals,
        uncited=_uncited,
        style=(resources / STYLE).read_text(encoding="utf-8"),
        scripts=[library, own],
        policy=_policy([library, own]),
        data=_json(_data(run, found)),
        labels=_packed(run.labels.labels.tobytes()),
        chances="" if run.labels.chances is None else _packed(run.labels.chances.tobytes()),
        text=None if run.text is None else _json(run.text),
        without_text=_without_text(run.text or []),
    )


def _data(run: Run, found: Sequence[PageWarning]) -> dict[str, Any]:
    """Return what the page's scripts know besides the labels."""
    labels, prompts = run.labels, run.prompts
    kept = _groupings(prompts)
    place = {prompt_id: number for number, prompt_id in enumerate(labels.prompt_ids)}
    groups = {name: _largest(run.tables["categories"].filter(grouping=name)) for name in kept}
    return {
        "run": run.name,
        "judges": labels.judges,
        "models": labels.models,
        "temperatures": [temperature_text(value) for value in labels.temperatures],
        "seeds": labels.seeds,
        "ids": labels.prompt_ids,
        "labels": list(LABELS),
        "groupings": {
            name: {
                "values": values,
                "of": prompts[name]
                .fill_null(_NO_GROUP)
                .replace_strict(values, range(len(values)))
                .to_list(),
            }
            for name, values in kept.items()
        },
        # The groups that have room in a chart.
        "charted": groups,
        "unstable_below": run.about["statistics"]["unstable_below"],
        "tables": {name: _table(table) for name, table in run.tables.items()},
        "charts": charts(labels.models, labels.judges, groups)
        | ({"compared": compared_chart(labels.models)} if run.other else {}),
        # In the order of their buttons.
        "warnings": [
            {
                "words": f"{warning.name} ({of.whose})",
                "judge": None if of.judge is None else labels.judges.index(of.judge),
                "model": labels.models.index(of.model),
                "prompts": [place[one] for one in of.prompt_ids if one in place],
            }
            for warning in found
            for of in warning.behind
        ],
        "has_text": run.text is not None,
        "other": run.other
        and {
            key: _table(value) if isinstance(value, pl.DataFrame) else value
            for key, value in run.other.items()
        },
    }


def _groupings(prompts: pl.DataFrame) -> dict[str, list[str]]:
    """Return sources and categories; a single one is no grouping."""
    values = {name: _values(prompts[name]) for name in ("source", "category")}
    return {name: of for name, of in values.items() if len(of) > 1}


def _largest(of_groups: pl.DataFrame) -> list[str]:
    """Return the groups with the most prompts, in the order of the table."""
    sizes = of_groups.group_by("group", maintain_order=True).agg(pl.col("n_prompts").max())
    large = sizes.with_row_index().top_k(_MOST_GROUPS, by="n_prompts").sort("index")
    return large["group"].to_list()


def _values(column: pl.Series) -> list[str]:
    return column.fill_null(_NO_GROUP).unique(maintain_order=True).sort().to_list()


def _without_text(text: Sequence[str]) -> str:
    """Return of how many prompts the text found no room; nothing where all have theirs."""
    with_text = len(text) - text.count("")
    if with_text == len(text):
        return ""
    have = "has its" if with_text == 1 else "have their"
    return f"{with_text:,} of {counted(len(text), 'prompt')}, the least stable, {have} text here."


def _uncited(text: str) -> str:
    """Return a text of the methods without the keys of its citations."""
    return re.sub(r"\s*\{(cite|hub):[^{}]+\}", "", text)


def _models(table: pl.DataFrame) -> list[dict[str, Any]]:
    return table.filter(pl.col("model") != ALL_MODELS).rows(named=True)


def _table(table: pl.DataFrame) -> dict[str, list]:
    return {"columns": table.columns, "rows": [list(row) for row in table.rows()]}


def _json(content: Any) -> str:
    """Return JSON that may stand in a script element: nothing in it ends that, or is a comment."""
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", r"\u003c").replace("\u2028", r"\u2028").replace("\u2029", r"\u2029")


def _packed(content: bytes) -> str:
    return base64.b64encode(gzip.compress(content, compresslevel=6, mtime=0)).decode()


def _policy(scripts: Sequence[str]) -> str:
    """Return the page's content security policy: these scripts and no others, no address at all."""
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in scripts]
    allowed = " ".join(f"'sha256-{one}'" for one in hashes)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
