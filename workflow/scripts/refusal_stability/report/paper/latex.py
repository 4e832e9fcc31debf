r"""Tables and paragraphs in LaTeX: booktabs rules, no vertical lines, as wide as a page of text."""

import re
from collections.abc import Sequence

from refusal_stability.report.paper.tables import Column, PaperTable, notes

# More rows than a page has room for go over pages.
MAX_ROWS = 40
# A page of article with margins of an inch, in points; a letter of \footnotesize; between columns.
_PAGE, _LETTER, _GAP = 469.0, 4.3, 12.0
# Longer cells of text are broken into lines of so many letters.
_MAX_LETTERS = 28
_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "\N{EN DASH}": "--",
    "\N{GREEK SMALL LETTER CHI}\N{SUPERSCRIPT TWO}": r"$\chi^2$",
}
_SPECIALS = re.compile(
    "|".join(map(re.escape, sorted(_SPECIAL, key=len, reverse=True))) + r"|[^\x20-\x7e]"
)


def escaped(text: str) -> str:
    """Return a text in which nothing is a command; what pdfLaTeX's fonts may lack is "?"."""
    text = re.sub(r"\s+", " ", text)
    return _SPECIALS.sub(lambda found: _SPECIAL.get(found[0]) or _letter(found[0]), text)


def _letter(mark: str) -> str:
    return mark if mark.isalpha() and ord(mark) < 256 else "?"


def paragraph(text: str) -> str:
    r"""Return a paragraph in which only what stands in backticks is markup, as \texttt."""
    parts = re.split(r"`([^`]+)`", text)
    # Long names and checksums may break anywhere.
    return "".join(
        rf"\texttt{{{_breakable(part)}}}" if number % 2 else escaped(part)
        for number, part in enumerate(parts)
    )


def table(made: PaperTable) -> str:
    r"""Return a table to be read by \input, with its caption above and its notes below.

    One that is wider than a page is set in parts below each other, each with the key columns; one
    that is longer goes over pages, as a longtable.
    """
    parts = _parts(made.columns)
    caption = rf"\caption{{{escaped(made.caption)}}}\label{{tab:{made.name}}}"
    below = " ".join(escaped(note) for note in notes(made))
    long = len(made.rows) * len(parts) > MAX_ROWS
    packages = "booktabs, longtable" if long else "booktabs"
    lines = [f"% From tables/{made.name}.csv. Needs \\usepackage[T1]{{fontenc}} and {packages}."]
    if long:
        lines += [r"\begingroup\footnotesize"]
        for number, part in enumerate(parts):
            lines += _longtable(part, "" if number else caption)
        lines += [rf"\noindent {below}", r"\par\endgroup"]
    else:
        lines += [r"\begin{table}[htbp]", r"\centering\footnotesize", caption]
        for part in parts:
            lines += [*_tabular(part), r"\par\smallskip"]
        lines += [below, r"\end{table}"]
    return "\n".join(line for line in lines if line) + "\n"


def _parts(columns: Sequence[Column]) -> list[list[Column]]:
    """Split columns so that each part is as wide as a page at most, if it can be."""
    keys = [column for column in columns if column.is_key]
    others = [column for column in columns if not column.is_key]
    room = _PAGE - sum(map(_width, keys))
    parts: list[list[Column]] = [[]]
    left = room
    for column in others:
        if parts[-1] and _width(column) > left:
            parts.append([])
            left = room
        parts[-1].append(column)
        left -= _width(column)
    return [keys + part for part in parts]


def _width(column: Column) -> float:
    return _letters(column) * _LETTER + _GAP


def _letters(column: Column) -> int:
    # A head is broken between its words.
    longest = max([*map(len, column.head.split()), *map(len, column.cells)], default=0)
    return longest if column.is_number else min(longest, _MAX_LETTERS)


def _tabular(columns: Sequence[Column]) -> list[str]:
    return [
        rf"\begin{{tabular}}{{{_layout(columns)}}}",
        r"\toprule",
        *_heads(columns),
        r"\midrule",
        *_rows(columns),
        r"\bottomrule",
        r"\end{tabular}",
    ]


def _longtable(columns: Sequence[Column], caption: str) -> list[str]:
    return [
        rf"\begin{{longtable}}{{{_layout(columns)}}}",
        caption and rf"{caption}\\",
        r"\toprule",
        *_heads(columns),
        r"\midrule",
        r"\endhead",
        r"\bottomrule",
        r"\endfoot",
        *_rows(columns),
        r"\end{longtable}",
    ]


def _layout(columns: Sequence[Column]) -> str:
    def of(column: Column) -> str:
        if column.is_number:
            return "r"
        too_long = any(len(cell) > _MAX_LETTERS for cell in column.cells)
        return rf"p{{{_MAX_LETTERS * _LETTER:.0f}pt}}" if too_long else "l"

    return "@{}" + "".join(map(of, columns)) + "@{}"


def _heads(columns: Sequence[Column]) -> list[str]:
    """The heads, in as many lines as their words need in the width of their cells."""
    stacks = [_lines(column) for column in columns]
    tallest = max(map(len, stacks))
    rows = zip(*([""] * (tallest - len(stack)) + stack for stack in stacks), strict=True)
    return [_row(row) for row in rows]


def _lines(column: Column) -> list[str]:
    room = max([_letters(column), 8])
    lines: list[str] = []
    for word in column.head.split():
        if lines and len(f"{lines[-1]} {word}") <= room:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return [escaped(line) for line in lines]


def _rows(columns: Sequence[Column]) -> list[str]:
    cells = ([_cell(cell, column) for cell in column.cells] for column in columns)
    return [_row(row) for row in zip(*cells, strict=True)]


def _row(cells: Sequence[str]) -> str:
    # What stands in brackets after \\ would be taken for a distance.
    first, *rest = cells
    first = f"{{}}{first}" if first.startswith(("[", "*")) else first
    return " & ".join([first, *rest]) + r" \\"


def _cell(text: str, column: Column) -> str:
    if not column.is_number:
        return _breakable(text) if len(text) > _MAX_LETTERS else escaped(text)
    return re.sub(r"-(?=\d)", "$-$", escaped(text)).replace(r"\textless{}", "$<$")


def _breakable(text: str) -> str:
    """Escape a text that may be broken after each mark, and within words of many letters."""
    words = re.findall(r"[^\W_]{1,12}|[\W_]", text)
    return "".join(
        escaped(word) + ("" if word == " " else r"\allowbreak{}") for word in words
    ).removesuffix(r"\allowbreak{}")
