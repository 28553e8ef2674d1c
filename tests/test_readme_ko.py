"""README.ko.md says what README.md says: the same sections, commands, tables, links, and names of things."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ENGLISH = (ROOT / "README.md").read_text(encoding="utf-8")
KOREAN = (ROOT / "README.ko.md").read_text(encoding="utf-8")
FENCE = re.compile(r"^```\w*\n.*?^```", re.MULTILINE | re.DOTALL)


def prose(text: str) -> str:
    return FENCE.sub("", text)


def sections(text: str) -> list[str]:
    """The page, cut at its headings; the first part is what stands before them."""
    return re.split(r"(?m)^(?=##+ )", prose(text))


def headings(text: str) -> list[int]:
    """How deep each is."""
    return [len(marks) for marks in re.findall(r"^(#+) ", prose(text), re.MULTILINE)]


def commands(text: str) -> list[str]:
    """Lines of code, without comments and blanks."""
    lines = [re.sub(r"(^|\s+)#.*$", "", line) for block in FENCE.findall(text) for line in block.splitlines()]
    return [line.rstrip() for line in lines if line.strip()]


def tables(text: str) -> list[int]:
    """How many rows each has."""
    return [block.count("\n") for block in re.findall(r"(?:^\|.*\|\n)+", prose(text), re.MULTILINE)]


def items(text: str) -> list[int]:
    """How many entries the lists of each section have."""
    return [len(re.findall(r"^- ", part, re.MULTILINE)) for part in sections(text)]


def names(text: str) -> list[set[str]]:
    """What is written as code, in each section; a table's words for a value may differ."""
    return [set(re.findall(r"(?<!`)`([^`\n]+)`(?!`)", part)) for part in sections(text)]


def links(text: str) -> list[str]:
    return sorted(set(re.findall(r"\]\(([^)\s]+)\)", prose(text))) - {"README.md", "README.ko.md"})


def numbers(text: str) -> list[list[str]]:
    """Figures of each section, in the order of their size."""
    return [sorted(re.findall(r"(?<![\w.])\d[\d,.]*\d|(?<![\w.])\d(?![\w.])", part)) for part in sections(text)]


@pytest.mark.parametrize("part", [headings, commands, tables, items, names, links], ids=lambda part: part.__name__)
def test_they_are_in_step(part):
    assert part(KOREAN) == part(ENGLISH)


def test_figures_are_the_same_where_there_are_measurements():
    for english, korean in zip(numbers(ENGLISH), numbers(KOREAN), strict=True):
        if len(english) > 4:
            assert korean == english


def test_each_leads_to_the_other():
    assert "(README.ko.md)" in ENGLISH and "(README.md)" in KOREAN


def test_it_is_korean():
    for part in sections(KOREAN):
        text = re.sub(r"`[^`]*`|\]\([^)]*\)", "", part)
        if len(text) < 200:
            continue  # the licence, say: names and little else
        hangul, latin = len(re.findall(r"[가-힣]", text)), len(re.findall(r"[A-Za-z]", text))
        assert hangul > latin, part[:60]


def test_a_difference_would_be_found():
    assert headings("# a\n## b\n") == [1, 2] and tables("| a |\n|---|\n| b |\n\n| c |\n") == [3, 1]
    assert commands("```bash\nx 1  # y\n\nz\n```\n") == ["```bash", "x 1", "z", "```"]
    assert names("`a` b\n## c\n`d`\n") == [{"a"}, {"d"}] and items("- a\n- b\n## c\n- d\n") == [2, 1]
    assert numbers("1,234 and 5.6 v2 x\n") == [["1,234", "5.6"]]
