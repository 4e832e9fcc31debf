"""Tables as papers show them: rounded, each estimate with its interval, in parts that fit."""

import re

import polars as pl

Rows = list[list[str]]

# Lists of ids, which stay in the CSV file.
_LEFT_OUT = ("ids",)
# Characters of a row that fit a page in small type.
_WIDTH = 108
_DASH = "\N{EN DASH}"
_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    _DASH: "--",
    "\N{MINUS SIGN}": "$-$",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}


def for_people(table: pl.DataFrame) -> tuple[list[str], Rows, int]:
    """Return the heads of a table for people, its rows as text, and how many columns are keys.

    An estimate and the ends of its interval are one column, "0.946 [0.931, 0.960]"; numbers have
    three decimals, and what does not exist is a dash.
    """
    names = [name for name in table.columns if name not in _LEFT_OUT]
    inside = {
        f"{name}{end}" for name in names for end in ("_low", "_high") if f"{name}_low" in names
    }
    heads = [name for name in names if name not in inside]
    columns = []
    for name in heads:
        texts = [_text(name, value) for value in table[name]]
        if f"{name}_low" in names:
            ends = zip(table[f"{name}_low"], table[f"{name}_high"], strict=True)
            texts = [
                text if low is None else f"{text} [{_text(name, low)}, {_text(name, high)}]"
                for text, (low, high) in zip(texts, ends, strict=True)
            ]
        columns.append(texts)
    keys = next(
        (place for place, name in enumerate(heads) if not _is_key(name, table.schema[name])),
        len(heads),
    )
    return (
        [head.replace("_", " ") for head in heads],
        [list(row) for row in zip(*columns, strict=True)],
        keys,
    )


def parts(heads: list[str], rows: Rows, keys: int) -> list[tuple[list[str], Rows]]:
    """Split a wide table into parts that fit a page; each repeats the columns that are keys."""
    widths = [
        max(len(head), *(len(row[place]) for row in rows)) + 2 for place, head in enumerate(heads)
    ]
    of_keys = sum(widths[:keys])
    chosen: list[list[int]] = [[]]
    for place in range(keys, len(heads)):
        if chosen[-1] and of_keys + sum(widths[p] for p in chosen[-1]) + widths[place] > _WIDTH:
            chosen.append([])
        chosen[-1].append(place)
    places = [[*range(keys), *more] for more in chosen]
    return [([heads[p] for p in of], [[row[p] for p in of] for row in rows]) for of in places]


def markdown(name: str, table: pl.DataFrame) -> str:
    """Return a table in GitHub's Markdown, under its name."""
    text = f"## {name}\n\n"
    if table.is_empty():
        return f"{text}This run has nothing for it.\n"
    heads, rows, keys = for_people(table)
    blocks = []
    for head, body in parts(heads, rows, keys):
        aligned = ["---" if _is_text(body, place) else "---:" for place in range(len(head))]
        lines = [head, aligned, *body]
        blocks.append(
            "\n".join("| " + " | ".join(map(_markdown_cell, line)) + " |" for line in lines)
        )
    return text + "\n\n".join(blocks) + "\n"


def latex(name: str, table: pl.DataFrame) -> str:
    """Return a table in LaTeX, by booktabs; it may be longer than a page, by longtable."""
    if table.is_empty():
        return f"% {name}: this run has nothing for it.\n"
    heads, rows, keys = for_people(table)
    every = parts(heads, rows, keys)
    blocks = []
    for number, (head, body) in enumerate(every, start=1):
        aligned = "".join("l" if _is_text(body, place) else "r" for place in range(len(head)))
        of = f" ({number} of {len(every)})" if len(every) > 1 else ""
        label = f"tab:{name}" + f"-{number}" * (number > 1)
        lines = [" & ".join(map(escaped, row)) + r" \\" for row in body]
        # What follows the end of a line may be taken for its option.
        lines = ["{}" + line if line[0] in "[*" else line for line in lines]
        blocks.append(
            "\n".join(
                [
                    rf"\begin{{longtable}}{{{aligned}}}",
                    rf"\caption{{{escaped(name.replace('_', ' '))}{of}}}\label{{{label}}} \\",
                    r"\toprule",
                    " & ".join(map(escaped, head)) + r" \\",
                    r"\midrule",
                    r"\endhead",
                    r"\bottomrule",
                    r"\endfoot",
                    *lines,
                    r"\end{longtable}",
                ]
            )
        )
    # In small type, as these are many numbers.
    return "{\\scriptsize\\setlength{\\tabcolsep}{3pt}\n" + "\n\n".join(blocks) + "\n}\n"


def escaped(text: str) -> str:
    """Return a text as LaTeX shows it; what its fonts may lack is "?"."""
    return re.sub(
        r"[^\x20-\x7e]|[\\~^<>|\"&%$#_{}]",
        lambda found: _SPECIAL.get(found[0], found[0] if _has_letter(found[0]) else "?"),
        re.sub(r"\s+", " ", text),
    )


def _has_letter(sign: str) -> bool:
    # Letters of Europe, which LaTeX has without more.
    return sign.isalpha() and ord(sign) < 0x180


def _is_key(name: str, dtype: pl.DataType) -> bool:
    # What an estimate is of: names, choices, temperatures, thresholds; not "verdict" at the end.
    return dtype in (pl.String, pl.Enum) or name.startswith(("temperature", "threshold"))


def _is_text(rows: Rows, place: int) -> bool:
    return not all(re.match(rf"[-{_DASH}<]?[\d.]*", row[place])[0] for row in rows)


def _text(name: str, value: object) -> str:
    if value is None:
        return _DASH
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        if name.startswith(("temperature", "threshold")):
            return f"{value:g}"
        if re.search(r"(^|_)p(_holm)?$", name) and value < 0.001:
            return "<0.001"
        # -0.000 is no number.
        rounded = f"{value:.3f}" if abs(value) < 1000 else f"{value:.1f}"
        return rounded.removeprefix("-") if not float(rounded) else rounded
    return str(value)


def _markdown_cell(text: str) -> str:
    # A bar would end the cell, a tag be hidden; of numbers nothing is to be escaped.
    text = " ".join(text.split())
    if re.fullmatch(r"[-\d., \[\]]+", text):
        return text
    return re.sub(r"([\\|`*_<\[\]])", r"\\\1", text)
