"""The documents as pages: their links resolve, and they stay short."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CARDS = sorted(ROOT.glob("bundles/*/docs/*.md"))
PAGES = [*ROOT.glob("*.md"), *sorted((ROOT / "docs").glob("*.md")), *CARDS, ROOT / "benchmarks" / "RESULTS.md"]


def names(paths):
    """The paths below the repository, to name tests by."""
    return [str(path.relative_to(ROOT)) for path in paths]


def without_code(path):
    """The text of a page without fenced blocks and inline code."""
    return re.sub(r"^```.*?^```|`[^`\n]*`", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)


def anchors(path):
    """The anchors that GitHub makes of the headings of a page."""
    titles = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=names(PAGES))
def test_relative_links_resolve(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", without_code(page)):
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_readme_is_short_and_names_research_use_and_the_disease():
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) < 110
    assert "Research use only" in text
    assert "cerebral small vessel disease" in text


@pytest.mark.parametrize("card", CARDS, ids=names(CARDS))
def test_cards_have_at_most_300_lines(card):
    assert len(card.read_text().splitlines()) <= 300


def test_fences_of_every_page_are_closed():
    assert [str(page) for page in PAGES if len(re.findall(r"^```", page.read_text(), re.MULTILINE)) % 2] == []
