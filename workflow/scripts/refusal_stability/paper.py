"""What a paper needs of a run: its methods, its citations and its tables, as Markdown and LaTeX."""

import re
from pathlib import Path
from typing import Any

import polars as pl

from refusal_stability import paper_methods, paper_tables
from refusal_stability.paper_facts import read_manifest

# Each section is a heading, its paragraphs and the items of a list.
Section = tuple[str, list[str], list[str]]
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
    run: Path, models: list[str], judges: list[str], statistics: dict[str, Any]
) -> list[Section]:
    """Return the methods of a run, of the manifests in its folder; see :func:`write`."""
    measured: Section = ("Statistics", paper_methods.of_statistics(statistics), [])
    if not (run / "prompts.json").is_file():
        return [("Data", paper_methods.of_labels(read_manifest(run / "labels.json")), []), measured]
    cells = {
        model: [read_manifest(path) for path in sorted((run / "responses" / model).glob("*.json"))]
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
    for name, table in tables.items():
        _write(folder / f"tables/{name}.md", paper_tables.markdown(name, table))
        _write(folder / f"tables/{name}.tex", paper_tables.latex(name, table))
    _write(folder / "methods.md", _markdown(sections))
    _write(folder / "methods.tex", _latex(sections))
    cited = set(_CITE.findall(str(sections)))
    entries = re.findall(r"^@.*?^\}$", citations, re.MULTILINE | re.DOTALL)
    chosen = [entry for entry in entries if re.match(r"@\w+\{(\w+),", entry)[1] in cited]
    _write(folder / "citation.bib", "\n\n".join(chosen) + "\n")
    inputs = "\n".join(rf"\input{{tables/{name}}}" for name in tables)
    _write(folder / "paper.tex", _DOCUMENT % inputs)


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
        rf"\cite{{{piece}}}" if number % 2 else paper_tables.escaped(piece)
        for number, piece in enumerate(pieces)
    )


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
