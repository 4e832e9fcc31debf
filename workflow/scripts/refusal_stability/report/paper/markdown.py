"""Tables and paragraphs in Markdown, as GitHub renders it."""

import re

from refusal_stability.report.paper.tables import PaperTable, notes


def escaped(text: str) -> str:
    """Return a text in which nothing is markup."""
    return re.sub(r"([\\`*_{}\[\]<>|~#$])", r"\\\1", text)


def paragraph(text: str) -> str:
    """Return a paragraph in which only what stands in backticks is markup, as code."""
    parts = re.split(r"(`[^`]+`)", text)
    return "".join(part if part.startswith("`") else escaped(part) for part in parts)


def table(made: PaperTable) -> str:
    """Return a table with its caption above and its notes below."""
    lines = [f"**{escaped(made.caption)}**", ""]
    if made.rows:
        lines += [
            _row([column.head for column in made.columns]),
            _row(["---:" if column.is_number else "---" for column in made.columns], plain=True),
            *map(_row, made.rows),
            "",
        ]
    lines += [escaped(note) for note in notes(made)]
    return "\n".join(lines).rstrip() + "\n"


def _row(cells: list[str] | tuple[str, ...], plain: bool = False) -> str:
    return f"| {' | '.join(cell if plain else _cell(cell) for cell in cells)} |"


def _cell(text: str) -> str:
    # An interval is no link: it stands as it is, to be copied.
    return (
        escaped(text).replace(r"\[", "[").replace(r"\]", "]") if "](" not in text else escaped(text)
    )
