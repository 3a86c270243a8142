"""Links between pages lead somewhere, on GitHub and on the site; every public name stands in the reference."""

import doctest
import re
import runpy
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

from rsreward.watch import SIGNS

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("integrations/*/README.md")]


def without_code(path):
    return re.sub(r"^(`{3,}).*?^\1$", "", path.read_text(), flags=re.M | re.S)


@cache
def anchors(path):
    """Those of the headings, as GitHub makes them."""
    slugs = set()
    for heading in re.findall(r"^#+ (.*)$", without_code(path), re.M):
        plain = re.sub(r"\[(.*?)\]\(.*?\)", r"\1", heading).replace("`", "")
        slugs.add(re.sub(r"[^\w\- ]", "", plain.lower()).strip().replace(" ", "-"))
    return slugs


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    text = re.sub(r"`[^`\n]*`", "", without_code(page))
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in link or link.startswith("mailto:"):
            continue
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        assert target.exists(), f"{page.name} links to {file}"
        assert not anchor or anchor in anchors(target), f"{page.name} links to {link}"


def test_every_page_is_on_the_site():
    listed = set(re.findall(r"<(.*?)>", (ROOT / "docs" / "index.md").read_text()))
    pages = {path.stem for path in ROOT.glob("docs/*.md")} - {"index"}
    pages |= {f"../{path.relative_to(ROOT).with_suffix('')}" for path in ROOT.glob("integrations/*/README.md")}
    assert pages <= listed


def reference():
    """The names on the page of the reference."""
    text = (ROOT / "docs" / "api.md").read_text()
    return re.findall(r"^\.\. (?:auto\w+|py:data):: (\S+)$", text, re.M)


@pytest.mark.parametrize("package", ["rsreward", "rsreward_trl"])
def test_every_public_name_is_in_the_reference(package):
    named = {name.rpartition(".")[2] for name in reference()}
    assert set(import_module(package).__all__) <= named


@pytest.mark.parametrize("name", reference())
def test_every_public_name_has_an_example(name):
    module, _, attribute = name.rpartition(".")
    found = getattr(import_module(module), attribute)
    if isinstance(found, dict):  # the example stands at the class of its values
        found = type(next(iter(found.values())))
        assert attribute in found.__doc__
    assert ">>>" in (found.__doc__ or ""), f"{name} has no example"


def test_every_sign_of_the_watch_has_its_remedy():
    text = (ROOT / "docs" / "failures.md").read_text()
    assert [name for name in SIGNS if name not in text] == []


def test_every_figure_of_the_pictures_names_its_command():
    text = (ROOT / "docs" / "pictures.md").read_text()
    figures = re.findall(r"!\[.*?\]\((figures/.*?)\)", text)
    assert figures
    for figure in figures:
        assert f"--out docs/{figure}\n" in text


def test_the_figure_of_the_weight_is_drawn(tmp_path):
    runpy.run_path(str(ROOT / "docs" / "figures" / "weight.py"))["draw"](str(tmp_path / "weight.png"))
    assert (tmp_path / "weight.png").read_bytes().startswith(b"\x89PNG")


def test_docstrings_become_restructured_text(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs")
    assert doctest.testmod(import_module("docstrings")) == (0, 3)
