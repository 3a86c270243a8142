"""The page that says why published numbers differ holds what its command prints."""

import importlib.util
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "referee.md"


@pytest.fixture
def referee():
    """The program, anew."""
    spec = importlib.util.spec_from_file_location("referee", ROOT / "benchmarks" / "referee.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(referee, monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["referee.py", *arguments])
    referee.main()


def tables(page):
    return dict(re.findall(r"<!-- ([a-z-]+) -->\n(.*?)\n<!-- /\1 -->", page, re.DOTALL))


def test_every_table_has_its_place_in_the_page(referee):
    assert list(tables(PAGE.read_text())) == list(referee.TABLES)


def test_the_page_holds_what_is_computed(referee, monkeypatch, tmp_path, capsys):
    """All but the table of EarthDial's 7,593 rows, which takes a minute; tests/core/test_conventions.py has a part."""
    if not referee.DATA.is_dir():
        pytest.skip("the real answers are not here (../shared/data)")
    page = tmp_path / "referee.md"
    page.write_text(re.sub(r"(<!-- [a-z-]+ -->\n).*?(<!-- /)", r"\1\2", PAGE.read_text(), flags=re.DOTALL))
    monkeypatch.setattr(referee, "PAGE", page)
    run(referee, monkeypatch, "--docs", "--only", ",".join(referee.TABLES.keys() - {"repeats"}))
    written, kept = tables(page.read_text()), tables(PAGE.read_text())
    assert written == {name: text for name, text in kept.items() if name != "repeats"}
    assert kept["corners"] in capsys.readouterr().out


def test_without_the_data_the_page_stays_as_it_is(referee, monkeypatch, tmp_path, capsys):
    page = tmp_path / "referee.md"
    page.write_text(PAGE.read_text())
    monkeypatch.setattr(referee, "DATA", tmp_path)
    monkeypatch.setattr(referee, "PAGE", page)
    run(referee, monkeypatch, "--docs")
    assert capsys.readouterr().out.count(": left out, for there is no ") == len(referee.TABLES)
    assert page.read_text() == PAGE.read_text()


def test_a_page_without_a_place_and_an_unknown_table_are_refused(referee, monkeypatch, tmp_path):
    (tmp_path / "page.md").write_text("<!-- corners -->\n")
    with pytest.raises(ValueError, match="has no part <!-- corners -->"):
        referee.write(tmp_path / "page.md", "corners", "|")
    with pytest.raises(SystemExit):
        run(referee, monkeypatch, "--only", "corner")
