"""Files of prompts to try: CSV, JSONL and Parquet, as written or spoilt; (name, bytes) each."""

import csv
import datetime
import io
import json
from typing import Any

# Not by polars: its threads, once begun, do not come along into a fork, which would wait for them.
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st

_ODD_CELLS = [
    *("", " ", "\t", "\n", "\r\n", "a\rb", "\x00", "a\x00b", "\x1b[2J", "\u2028", "\x85", "\ufeff"),
    *("\ufffe", "\u202e", "e\u0301", "\U0001f600", "\U0010ffff", "'", '"', '""', ",", ";", "a,b"),
    *("null", "NaN", "<|im_start|>", "</s>", "{a}", "x" * 200_000, "Why?", "why?", "Why? "),
]
_DATE = datetime.datetime(2026, 1, 1)
_GOOD = st.sampled_from(["Why?", "How does rain form?", "Name three rivers, and 2 lakes."])
_CELLS = st.one_of(
    _GOOD,
    st.text(max_size=30),
    st.sampled_from(_ODD_CELLS),
)
_COLUMNS = st.one_of(
    *[st.just(["prompt"]), st.just(["prompt", "category"]), st.just(["id", "prompt"])] * 3,
    st.lists(
        st.sampled_from(["prompt", "Prompt", "category", "prompt ", "", "text", "\ufeffprompt"]),
        max_size=4,
    ),
)


@st.composite
def prompt_files(draw: st.DrawFn) -> tuple[str, bytes]:
    """A file of prompts, valid or not."""
    kind = draw(st.sampled_from(["csv", "jsonl", "parquet"]))
    columns = draw(_COLUMNS)
    # In half of the files nothing is odd, until they are spoilt.
    cells = draw(st.sampled_from([_CELLS, _GOOD]))
    row = st.lists(cells, min_size=len(columns), max_size=len(columns))
    rows = draw(st.lists(row, min_size=draw(st.integers(0, 1)), max_size=5))
    content = {"csv": _csv, "jsonl": _jsonl, "parquet": _parquet}[kind](draw, columns, rows)
    if draw(st.integers(0, 4)) == 0:
        content = _spoilt(draw, content)
    names = {"csv": ["p.csv", "P.CSV"], "jsonl": ["p.jsonl"], "parquet": ["p.parquet", "p.PARQUET"]}
    # Sometimes a file that is of another kind than its name says.
    name = draw(st.sampled_from([*names[kind] * 15, "p.csv", "p.jsonl", "p.parquet", "p.txt", "p"]))
    return name, content


def _csv(draw: st.DrawFn, columns: list[str], rows: list[list[str]]) -> bytes:
    text = io.StringIO()
    end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    quoting = draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
    delimiter = draw(st.sampled_from([*[","] * 8, ";", "\t"]))
    writer = csv.writer(text, quoting=quoting, lineterminator=end, delimiter=delimiter)
    writer.writerow(columns)
    for row in rows:
        match draw(st.integers(0, 30)):
            case 0:
                row = row[:-1]
            case 1:
                row = [*row, "more"]
            case 2:
                row = []
        writer.writerow(row)
    encoding = draw(st.sampled_from([*["utf-8"] * 8, "utf-8-sig", "utf-16", "latin-1"]))
    return text.getvalue().encode(encoding, "replace")


def _jsonl(draw: st.DrawFn, columns: list[str], rows: list[list[str]]) -> bytes:
    lines = []
    for row in rows:
        entry: Any = dict(zip(columns, row, strict=True))
        odd = st.sampled_from([None, 1, True, [], ["a"], {"a": "b"}, 1e400, "\ud800"])
        match draw(st.integers(0, 30)):
            case 0 if entry:
                entry[draw(st.sampled_from(list(entry)))] = draw(odd)
            case 1:
                entry = draw(odd)
            case 2:
                lines.append(draw(st.sampled_from(["", "{", "[" * 100_000, "NaN", '{"a": 1'])))
                continue
            case 3:
                lines.append(json.dumps(entry) + json.dumps(entry))
                continue
        lines.append(json.dumps(entry, ensure_ascii=draw(st.booleans())))
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def _parquet(draw: st.DrawFn, columns: list[str], rows: list[list[str]]) -> bytes:
    cells = {name: [row[place] for row in rows] for place, name in enumerate(columns)}
    arrays = {name: pa.array(texts, pa.string()) for name, texts in cells.items()}
    if arrays and draw(st.integers(0, 3)) == 0:
        name = draw(st.sampled_from(list(arrays)))
        odd = draw(st.sampled_from([None, 1, b"\xff", ["a"], {"a": "b"}, 0.5, True, _DATE]))
        arrays[name] = pa.array([odd] * len(rows))
        if draw(st.booleans()):
            arrays[name] = pa.array(cells[name], pa.string()).dictionary_encode()
    content = io.BytesIO()
    pq.write_table(pa.table(arrays), content)
    return content.getvalue()


def _spoilt(draw: st.DrawFn, content: bytes) -> bytes:
    at = draw(st.integers(0, len(content)))
    match draw(st.integers(0, 4)):
        case 0:
            return content[:at]
        case 1:
            return b""
        case 2:
            odd = draw(
                st.sampled_from([b"\x00", b"\xff", b"\xc3", b"\r", b'"', b"\n\n", b"\xed\xa0"])
            )
            return content[:at] + odd + content[at:]
        case 3:
            return b"\xef\xbb\xbf" + content
    # One bit is another.
    spoilt = bytearray(content or b"x")
    place = min(at, len(spoilt) - 1)
    spoilt[place] ^= 1 << draw(st.integers(0, 7))
    return bytes(spoilt)
