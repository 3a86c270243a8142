"""Mistakes of a person, told in one sentence."""


class InputError(ValueError):
    """Bad input from a person: a file, a column, an option. The message names it and the mend."""
