"""What a paper needs of a run: its methods, its citations and its tables, as Markdown and LaTeX."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from refusal_stability.core.cells import cell_files
from refusal_stability.report.paper import latex, markdown
from refusal_stability.report.paper import methods as paper_methods
from refusal_stability.report.paper import tables as paper_tables
from refusal_stability.report.paper.manifests import read_manifest
from refusal_stability.schemas import storage

# Each section is a heading, its paragraphs and the items of a list.
Section = tuple[str, list[str], list[str]]
# What is cited: an entry of resources/citations.bib, or a repository of the hub with its commit.
_HUB = re.compile(r"\{hub:([^@{}]+)@([^{}]+)\}")
_CITE = re.compile(r"\{cite:(\w+)\}")
_DOCUMENT = r"""\documentclass{article}
\usepackage[T1]{fontenc}
\usepackage[utf8]{inputenc}
\usepackage{textcomp}
\usepackage[margin=2cm]{geometry}
\usepackage{booktabs,longtable}
\begin{document}
\sloppy
\input{methods}
\bibliographystyle{plain}
\bibliography{citation}
\clearpage
%s
\end{document}
"""


def methods(
    run: Path,
    models: Sequence[str],
    judges: Sequence[str],
    grid: tuple[Sequence[float], Sequence[int]],
    statistics: dict[str, Any],
) -> list[Section]:
    """Return the methods of a run, of the manifests in its folder; see :func:`write`.

    ``grid`` are its temperatures and seeds, as the folder may hold cells that are no part of it
    any more; a run that starts from labels has none.
    """
    measured: Section = ("Statistics", paper_methods.of_statistics(statistics), [])
    if not grid[0]:
        return [("Data", paper_methods.of_labels(read_manifest(run / "labels.json")), []), measured]
    cells = {
        model: [
            read_manifest(path.with_suffix(".json"))
            for path in cell_files(run / "responses" / model, *grid)
        ]
        for model in models
    }
    verdicts = {
        judge: [read_manifest(run / "verdicts" / judge / f"{model}.json") for model in models]
        for judge in judges
    }
    replies = sum(cell["count"] for of in cells.values() for cell in of)
    return [
        ("Prompts", paper_methods.of_prompts(read_manifest(run / "prompts.json")), []),
        (
            "Models",
            paper_methods.of_sampling(cells, replies),
            [paper_methods.of_model(name, of) for name, of in cells.items()],
        ),
        (
            "Judges",
            [
                f"Replies were labelled by {len(judges)} judges."
                if judges[1:]
                else "One judge labelled them."
            ],
            [paper_methods.of_judge(name, of) for name, of in verdicts.items()],
        ),
        measured,
    ]


def write(
    folder: Path, sections: list[Section], tables: dict[str, pl.DataFrame], citations: str
) -> None:
    """Write methods.md and .tex, citation.bib, tables/*.md and *.tex, and paper.tex of all.

    Args:
        folder: where they are written.
        sections: from :func:`methods`.
        tables: the run's, by name.
        citations: BibTeX entries, of which those that the methods cite are taken.
    """
    (folder / "tables").mkdir(parents=True, exist_ok=True)
    repositories = list(dict.fromkeys(map(_entry, _HUB.finditer(str(sections)))))
    sections = [
        (heading, [*map(_keyed, paragraphs)], [*map(_keyed, items)])
        for heading, paragraphs, items in sections
    ]
    for name, table in tables.items():
        made = paper_tables.paper_table(name, table)
        storage.write_text(markdown.table(made), folder / f"tables/{name}.md")
        storage.write_text(latex.table(made), folder / f"tables/{name}.tex")
    storage.write_text(_markdown(sections), folder / "methods.md")
    storage.write_text(_latex(sections), folder / "methods.tex")
    cited = set(_CITE.findall(str(sections)))
    entries = re.findall(r"^@.*?^\}$", citations, re.MULTILINE | re.DOTALL) + repositories
    chosen = [entry for entry in entries if re.match(r"@\w+\{(\w+),", entry)[1] in cited]
    storage.write_text("\n\n".join(chosen) + "\n", folder / "citation.bib")
    inputs = "\n".join(rf"\input{{tables/{name}}}" for name in tables)
    storage.write_text(_DOCUMENT % inputs, folder / "paper.tex")


def _key(found: re.Match) -> str:
    """Return the key of a repository of the hub; each of its commits has one of its own."""
    return re.sub(r"\W", "_", f"{found[1]}_{found[2][:8]}")


def _keyed(text: str) -> str:
    return _HUB.sub(lambda found: f"{{cite:{_key(found)}}}", text)


def _entry(found: re.Match) -> str:
    """Return the BibTeX entry of a repository: what is known of it is where it is, and which."""
    title = latex.escaped(found[1].removeprefix("datasets/"))
    fields = {
        "title": f"{{{title}}}",
        "howpublished": f"Hugging Face hub, https://huggingface.co/{latex.escaped(found[1])}",
        "note": f"Revision {latex.escaped(found[2])}",
    }
    lines = ",\n".join(f"  {name} = {{{value}}}" for name, value in fields.items())
    return f"@misc{{{_key(found)},\n{lines}\n}}"


def _markdown(sections: list[Section]) -> str:
    blocks = []
    for heading, paragraphs, items in sections:
        blocks += [f"## {heading}", *paragraphs]
        blocks += ["\n".join(f"- {item}" for item in items)] if items else []
    # As pandoc writes citations.
    return _CITE.sub(r"[@\1]", "\n\n".join(blocks)) + "\n"


def _latex(sections: list[Section]) -> str:
    blocks = []
    for heading, paragraphs, items in sections:
        blocks += [rf"\subsection*{{{heading}}}", *map(_cited, paragraphs)]
        if items:
            listed = "\n".join(rf"\item {_cited(item)}" for item in items)
            blocks.append(f"\\begin{{itemize}}\n{listed}\n\\end{{itemize}}")
    return "\n\n".join(blocks) + "\n"


def _cited(text: str) -> str:
    """Escape a text, but for its citations."""
    pieces = _CITE.split(text)
    return "".join(
        rf"\cite{{{piece}}}" if number % 2 else latex.escaped(piece)
        for number, piece in enumerate(pieces)
    )
