"""Rows that could not be scored, counted by what is wrong with them."""

from collections.abc import Iterable, Sequence
from typing import Any

from .rows import Broken

FIRST_ERRORS, MOST_REASONS, FIRST_LINES = 10, 10, 3


class BrokenRows:
    """Counts them; its memory does not grow with their number.

    Attributes:
        count: how many.
        first: what is wrong with the first ones.
    """

    def __init__(self) -> None:
        self.count = 0
        self.first: list[str] = []
        self._reasons: dict[str, dict[str, Any]] = {}

    def extend(self, rows: Iterable[Broken]) -> None:
        """Count some more."""
        for row in rows:
            self.count += 1
            if len(self.first) < FIRST_ERRORS:
                self.first.append(row.error)
            if row.reason not in self._reasons and len(self._reasons) == MOST_REASONS:
                continue
            known = self._reasons.setdefault(row.reason, {"reason": row.reason, "rows": 0, "first": []})
            known["rows"] += 1
            if len(known["first"]) < FIRST_LINES:
                known["first"].append([str(row.file), row.line])

    def result(self) -> dict[str, Any]:
        """`broken_rows`, `broken` with the first errors, `broken_reasons` with rows and first places of each reason."""
        return {"broken_rows": self.count, "broken": self.first, "broken_reasons": list(self._reasons.values())}


def count_broken(count: int) -> str:
    """How many rows were left out, as a clause."""
    return f"{count} broken row was left out" if count == 1 else f"{count} broken rows were left out"


def describe_broken(result: dict[str, Any], most: int = 3) -> list[str]:
    """A clause for each of the commonest reasons of a result, and one for the rest."""
    reasons = sorted(result["broken_reasons"], key=lambda of: -of["rows"])[:most]
    rest = result["broken_rows"] - sum(of["rows"] for of in reasons)
    return [_clause(**of) for of in reasons] + ([f"and {rest} more"] if rest else [])


def _clause(reason: str, rows: int, first: Sequence[tuple[str, int]]) -> str:
    reason = reason.rstrip(".")
    if rows == 1:
        return f"{first[0][0]}, line {first[0][1]}{reason}"
    for one, many in ((" has ", " have "), (" is ", " are ")):
        reason = many + reason.removeprefix(one) if reason.startswith(one) else reason
    more = ", ..." if rows > len(first) else ""
    if len({file for file, _ in first}) == 1:
        places = f"{first[0][0]}, lines {', '.join(str(line) for _, line in first)}"
    else:
        places = "; ".join(f"{file}, line {line}" for file, line in first)
    return f"{rows} rows{reason} ({places}{more})"
