"""A strict reader of the LaTeX that we write: what pdflatex would refuse, or print wrongly."""

import re

# All that we write; any other command is a mistake, or came out of the data.
COMMANDS = {
    "begin", "end", "caption", "label", "centering", "footnotesize", "par", "smallskip", "noindent",
    "toprule", "midrule", "bottomrule", "endhead", "endfoot", "begingroup", "endgroup",
    "allowbreak",
    "chi", "textbackslash", "textasciitilde", "textasciicircum", "textless", "textgreater",
    "textbar", "textquotedbl", "texttt", "cite", "subsection", "item",
    "documentclass", "usepackage", "input", "bibliographystyle", "bibliography",
    "clearpage", "sloppy",
}  # fmt: skip
_TABLE = re.compile(r"\\begin\{(tabular|longtable)\}\{@\{\}(.*?)@\{\}\}\n(.*?)\\end\{\1\}", re.S)


def problems(text: str) -> list[str]:
    """What is wrong with a text; none if it is in order."""
    found = []
    body = re.sub(r"^%.*$", "", text, flags=re.MULTILINE)
    plain = re.sub(r"\\[\\&%$#_{}]", "", body)
    found += [f"command \\{name}" for name in re.findall(r"\\([A-Za-z]+)", plain)
              if name not in COMMANDS]  # fmt: skip
    found += [f"escape \\{mark}" for mark in re.findall(r"\\([^A-Za-z])", plain)]
    if plain.count("{") != plain.count("}") or _depth(plain) < 0:
        found.append("braces")
    stack = []
    for kind, name in re.findall(r"\\(begin|end)\{(\w+)\}", plain):
        if kind == "begin":
            stack.append(name)
        elif not stack or stack.pop() != name:
            found.append(f"end of {name}")
    found += [f"{name} without an end" for name in stack]
    math = re.sub(r"\$(-|<|\\chi\^2)\$", "", plain)
    words = re.sub(r"\\(label|cite|input)\{[^}]*\}", "", _TABLE.sub(lambda m: m[3], math))
    found += [f"unescaped {mark}" for mark in re.findall(r'[%$#_^~<>|"]', words)]
    found += [
        problem for table in _TABLE.findall(body) for problem in _of_table(table[1], table[2])
    ]
    outside = re.sub(r"\\begin\{(tabular|longtable)\}", "", _TABLE.sub("", body))
    if outside != _TABLE.sub("", body):
        found.append("a table that cannot be read")
    if "&" in re.sub(r"\\&", "", _TABLE.sub("", body)):
        found.append("& outside of a table")
    return found


def _depth(text: str) -> int:
    depth = lowest = 0
    for mark in text:
        depth += (mark == "{") - (mark == "}")
        lowest = min(lowest, depth)
    return lowest


def _of_table(layout: str, body: str) -> list[str]:
    columns = len(re.findall(r"[lcr]|p\{\d+pt\}", layout))
    found = [] if re.fullmatch(r"(?:[lcr]|p\{\d+pt\})+", layout) else [f"layout {layout}"]
    lines = [line for line in body.strip().splitlines() if not line.startswith(r"\caption")]
    rules = [line for line in lines if line.startswith("\\") and not line.endswith(r"\\")]
    wanted = [r"\toprule", r"\midrule", r"\bottomrule"]
    if [rule for rule in rules if rule not in (r"\endhead", r"\endfoot")] != wanted:
        found.append(f"rules {rules}")
    for line in (line for line in lines if line not in rules):
        if not line.endswith(r" \\"):
            found.append(f"row without an end: {line}")
        cells = re.split(r"(?<!\\)&", line)
        if len(cells) != columns:
            found.append(f"{len(cells)} cells in {columns} columns: {line}")
        if re.match(r"\s*[\[*]", line):
            found.append(f"taken for an argument: {line}")
    return found
