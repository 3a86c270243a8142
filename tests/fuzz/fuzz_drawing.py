"""What the harnesses draw: texts, values of any type and bytes, most of them near to real ones."""

import json
import sys
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch

TESTS = Path(__file__).parents[1]
sys.path += [str(TESTS / "core"), str(TESTS / "tools")]

from answer_cases import NO_ANSWERS, NO_BOXES, NOT_READ, NOTHING, READ, THOUGHTS, VARIANTS  # noqa: E402

REAL = Path(__file__).parents[3] / "shared" / "data" / "answers_dev.jsonl"  # more of them, where it is at hand
TEXTS = [*READ.values(), *NOT_READ.values(), *VARIANTS, *NO_BOXES, *NOTHING, *THOUGHTS, *NO_ANSWERS]
TEXTS += [json.loads(line)["text"] for line in REAL.open()] if REAL.exists() else []
TEXTS += [f"<think>It is left.</think>\n<answer>{text}</answer>" for text in TEXTS[:60]]
TOKENS = [
    "<think>", "</think>", "<answer>", "</answer>", "<tool_call>", "</tool_call>", "<|box_start|>", "<|box_end|>",
    *"[](){}<>|\"'\\,;:=%\n\t.-+【】１٣²½−ﬀ\0\ud800\u202e\u2028\ufeff", "\\\\", '\\"', " " * 50, "\x1b[31m", "🛩️",
    "```json", "bbox_2d", "label", "<box>", "</box>", "<loc_1", "x1=", '"width": 5', "none", "[]", "Answer:",
    "Thought:", "答案：", "NaN", "Infinity", "1e999", "-1e-999", "1e30", "9" * 400, "0" * 50 + "1", "1.2.3", "-0",
    "0x10", "1_0", "&lt;",
]  # fmt: skip
HTML = [
    "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "' onmouseover='alert(1)", "</title><b>", "</style>",
    "{{ 7 * 7 }}", "{% raw %}", "<!--", "-->", "]]>", "<svg onload=x>", "javascript:alert(1)", "&quot; onclick=&quot;x",
    "<base href=//x>", "`onload=x`", "</svg><a href=x>", "\x00<i>", "<\u0000script>", "<plaintext>", "&#x22;><u>",
]  # fmt: skip
NUMBERS = [
    0, -0.0, 1, -1, 0.5, 1e-320, 1e-9, 7, 1e7, 1e7 + 1, 1e30, -1e30, 1.1e30, 1e38, 1e308, float("inf"), float("-inf"),
    float("nan"), 2**31, 2**63, -(2**63) - 1, 10**400, 10**5000, True, 1 + 0j,
]  # fmt: skip


def text(r: Random, extra: list[str] = TOKENS) -> str:
    """An answer, changed in up to eight places."""
    found = r.choice(TEXTS)
    for _ in range(r.choice((0, 1, 1, 2, 3, 5, 8))):
        a, b = sorted((r.randint(0, len(found)), r.randint(0, len(found))))
        b = min(b, a + r.choice((1, 3, 10, 1000)))
        part = found[a:b]
        other = r.choice((r.choice(extra), r.choice(TEXTS), as_json(number(r))[:500], chr(r.randrange(0x3000))))
        put = r.choice((other, other, "", part * r.choice((2, 3, 20)), part[::-1]))
        found = found[:a] + put + found[r.choice((a, b)) :]
    return found


def long_text(r: Random) -> str:
    """A text of which a small part comes again and again: what takes more than linear time hangs."""
    start, part, end = text(r)[:200], text(r)[: r.choice((1, 2, 5, 30, 200))] or "[", text(r)[:200]
    return start + part * (r.choice((2_000, 20_000, 200_000)) // len(part)) + end


def number(r: Random) -> Any:
    return r.choice((r.choice(NUMBERS), r.randint(-10, 1100), r.uniform(0, 1000), r.uniform(0, 1)))


def box(r: Random, numbers: int = 4, full: float = 400) -> list[float]:
    """A box that is right: corners in order, or centre, sides and angle."""
    x, y, w, h = (r.uniform(1, full / 2) for _ in range(4))
    return [x, y, x + w, y + h] if numbers == 4 else [x, y, w, h, r.uniform(-2, 2)]


def value(r: Random, depth: int = 3) -> Any:
    """A value of any type."""
    kind = r.randrange(14 if depth else 10)
    if kind < 3:
        return number(r)
    if kind < 5:
        return text(r)[: r.choice((0, 5, 50, 5000))]
    if kind < 8:
        return r.choice(
            (None, True, False, "", b"", b"\xff[1, 2, 3, 4]", [], {}, (), float("nan"), Decimal("1.5"), object)
        )
    if kind == 8:
        dtype = r.choice((np.float32, np.int64, np.uint8, bool, object, "datetime64[s]", "U3", np.complex64))
        return np.ones(r.choice(((), (0,), (4,), (1, 4), (5,), (2, 2, 2))), dtype)
    if kind == 9:
        dtype = r.choice((torch.float32, torch.float64, torch.bfloat16, torch.int64, torch.bool, torch.complex64))
        return torch.ones(r.choice(((), (0,), (4,), (1, 4), (5,), (8,), (2, 2, 2))), dtype=dtype)
    inner = [value(r, depth - 1) for _ in range(r.choice((1, 2, 4, 4, 5, 8)))]
    if kind == 10:
        return {r.choice(("bbox", "width", "text", "role", "a", "")): each for each in inner}
    if kind == 11:
        return tuple(inner)
    return r.choice((inner, box(r), [box(r), box(r, 5)], [[1, 2], [3, 2], [3, 4], [1, 4]], deep(r, inner)))


def deep(r: Random, inner: Any) -> Any:
    """Lists in lists."""
    for _ in range(r.choice((1, 3, 50, r.randint(900, 1000), 3000))):
        inner = [inner]
    return inner


def changed(r: Random, found: Any, share: float = 0.5) -> Any:
    """A value with one of its parts changed, in this share of the calls."""
    if r.random() > share:
        return found
    if isinstance(found, dict | list) and found and r.random() < 0.85:
        keys = list(found) if isinstance(found, dict) else range(len(found))
        key, found = r.choice(keys), found.copy()
        if r.random() < 0.15:
            del found[key]
        elif isinstance(found, list) and r.random() < 0.15:
            found.insert(key, found[key])
        else:
            found[key] = changed(r, found[key], 1)
        return found
    if isinstance(found, str) and r.random() < 0.5:
        return r.choice((found + r.choice(TOKENS), r.choice(TOKENS), found[:-1], found.upper()))
    return value(r)


def changed_bytes(r: Random, found: bytes, tokens: list[bytes]) -> bytes:
    """Bytes that are cut off, exchanged, repeated or have others put between them."""
    for _ in range(r.choice((1, 1, 2, 5, 20))):
        a = r.randint(0, len(found))
        b = min(len(found), a + r.choice((0, 1, 2, 4, 100)))
        put = r.choice((r.choice(tokens), b"", r.randbytes(b - a), found[a:b] * 3))
        found = found[:a] if r.random() < 0.05 else found[:a] + put + found[b:]
    return found


def as_json(found: Any) -> str:
    """JSON, or what Python takes for it, of any value; whole numbers of any length."""
    try:
        return json.dumps(found, default=repr)
    except (ValueError, RecursionError, TypeError):
        return "[" * 5000 + "9" * 5000
