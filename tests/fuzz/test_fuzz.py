"""The harnesses of `make fuzz` run, and their first inputs find nothing."""

import pytest
from fuzz import HARNESSES, attempt

INPUTS = {"loaders": 60, "pages": 60}  # of the others 300: a second or two each


@pytest.mark.parametrize("name", HARNESSES)
def test_the_first_inputs_find_nothing(name):
    for number in range(INPUTS.get(name, 300)):
        assert attempt(name, 0, number) is None


def test_an_input_that_finds_something_is_told_with_the_command_that_repeats_it(monkeypatch):
    def check(drawn):
        raise ZeroDivisionError("of no use")

    monkeypatch.setitem(HARNESSES, "parser", (HARNESSES["parser"][0], check))
    first, again = attempt("parser", 7, 3), attempt("parser", 7, 3)
    assert first == again
    assert first["error"] == "ZeroDivisionError: of no use"
    assert first["repeat"].endswith("--only parser --seed 7 --first 3 --inputs 1")
    assert first["input"] != attempt("parser", 8, 3)["input"]
