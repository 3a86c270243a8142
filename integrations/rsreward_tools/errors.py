"""Mistakes of the user, explained in one sentence."""


class InputError(ValueError):
    """Bad input from the user: a file, a column, an option. The message says what is wrong and what to do."""
