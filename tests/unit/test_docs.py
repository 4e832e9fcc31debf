"""The pages for people are whole: links lead somewhere, readers find theirs."""

import re
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).parents[2]
NOT_OURS = {"results", "published", "node_modules"}
PAGES = sorted(
    page.relative_to(REPOSITORY)
    for place in REPOSITORY.iterdir()
    if not place.name.startswith(".") and place.name not in NOT_OURS
    for page in ([place] if place.suffix == ".md" else place.rglob("*.md"))
)


def prose(page: Path) -> str:
    """A page without what is in fences and in backticks, where nothing is a link."""
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    text = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"`[^`\n]*`(?![^\[\]]*\]\()", "", text)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    text = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    found: dict[str, int] = {}
    for heading in re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE):
        heading = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        anchor = re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
        found[anchor] = found.get(anchor, -1) + 1
    return {
        f"{anchor}-{number}" if number else anchor
        for anchor, last in found.items()
        for number in range(last + 1)
    }


def links(page: Path) -> list[str]:
    return re.findall(r"\]\(([^)\s]+)\)", prose(page))


def broken(page: Path) -> list[str]:
    """The relative links of a page that lead nowhere."""
    wrong = []
    for link in links(page):
        if re.match(r"[a-z]+:", link):
            continue
        file, _, anchor = link.partition("#")
        target = (REPOSITORY / page.parent / file).resolve() if file else REPOSITORY / page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            wrong.append(link)
    return wrong


def test_anchors_are_those_of_github(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A `first`, run!\n## `tables/x_y.csv`\n## Again\n## Again\n```\n# no heading\n```\n",
        encoding="utf-8",
    )
    assert anchors(page) == {"a-first-run", "tablesx_ycsv", "again", "again-1"}


def test_a_link_that_leads_nowhere_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# Here\n[a](#here) [b](#there) [c](gone.md) `[d](code.md)` [`e`](also-gone.md)\n",
        encoding="utf-8",
    )
    assert broken(page) == ["#there", "gone.md", "also-gone.md"]


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_relative_link_of_every_page_leads_somewhere(page: Path) -> None:
    assert broken(page) == []


def test_every_reader_finds_the_page_in_one_click() -> None:
    assert "docs/README.md" in links(Path("README.md"))
    # First-time user, cluster user, statistician, contributor: one row each, above all else.
    first = prose(Path("docs/README.md")).partition("And then")[0]
    found = re.findall(r"\]\(([^)]+)\)", first)
    assert found == ["../README.md", "cluster.md", "data-dictionary.md", "../CONTRIBUTING.md"]
    # No page is left out.
    listed = {Path(link.partition("#")[0]).name for link in links(Path("docs/README.md"))}
    pages = {path.name for path in PAGES if path.parent == Path("docs")} - {"README.md"}
    assert pages <= listed


def test_every_parameter_has_a_type_and_a_description() -> None:
    page = (REPOSITORY / "docs/parameters.md").read_text(encoding="utf-8")
    rows = [line.strip("|").split(" | ") for line in page.splitlines() if line.startswith("| `")]
    # The same keys as on the page by hand, which test_code.py compares with the schema.
    by_hand = (REPOSITORY / "config/README.md").read_text(encoding="utf-8").partition("## Keys")[2]
    keys = {row[0].strip() for row in rows}
    assert keys == set(re.findall(r"^\| (`[a-z][\w.\[\]]*`) \|.*\|.*\|.*\|$", by_hand, re.M))
    for key, kind, _, meaning in rows:
        assert kind.strip(), key
        assert meaning.strip().endswith("."), key


def test_the_citation_names_the_workflow_and_the_study() -> None:
    # `cffconvert --validate` accepts the file; what it cannot know is tested here.
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= set(citation)
    assert citation["license"] == "MIT"
    assert (REPOSITORY / "LICENSE").read_text(encoding="utf-8").startswith("MIT License\n")
    (study,) = citation["references"]
    assert study["url"] == "https://arxiv.org/abs/2512.12066"
