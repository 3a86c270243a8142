"""Rows of your own files: plain columns, VLM-R1's conversations, ms-swift's messages with objects."""

import re
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from rsreward import SPACES

from ..example import WILD, Flaw, Record, inside
from .boxes import Reading, read_boxes

QUERIES = ("query", "question", "problem")
TARGETS = ("bbox", "target", "solution", "boxes")
SPLIT_NAMES = {"train": "train", "val": "val", "valid": "val", "validation": "val", "dev": "val", "test": "test"}
SWIFT = {"real": Reading("xyxy"), "norm1": Reading("xyxy", SPACES["unit"])}


def load_rows(
    rows: Iterable[tuple[str, Any]], root: Path, reading: Reading, pattern: re.Pattern[str] | None, split: str
) -> Iterator[Record | Flaw]:
    """The questions of rows. Each row comes with its name for messages.

    Args:
        root: the folder of the images; names may be absolute if they lead into it.
        reading: what the numbers mean, if the row does not say so itself, as ms-swift's `bbox_type` does.
        pattern: finds the referring expression in a question, as its first group. None: the whole question.
        split: of rows that do not name one.
    """
    for where, row in rows:
        try:
            image, told = _image(row, root), str(row.get("split") or split)
            if told not in SPLIT_NAMES and told:
                raise ValueError(f"its split {told!r:.40} is none of train, val and test")
            size = None if row.get("width") is None or row.get("height") is None else (row["width"], row["height"])
            for number, (question, value, read_as) in enumerate(_questions(row, reading)):
                query = _expression(question, pattern)
                name = where if not number else f"{where}.{number}"
                read = partial(read_boxes, value, read_as)
                category = row.get("category")
                yield Record(name, image, size, query, read, SPLIT_NAMES.get(told, ""), name, category)
        except ValueError as error:
            yield Flaw(where, str(error)[:300], False)
        except WILD as error:
            yield Flaw(where, f"it is not of a known form ({type(error).__name__}: {str(error)[:100]})", False)


def _image(row: Any, root: Path) -> str:
    if not isinstance(row, dict):
        raise ValueError("it is not an object with columns")
    image = row.get("image") or row.get("images")
    if isinstance(image, list):
        if len(image) != 1:
            raise ValueError(f"it has {len(image)} images, and one is needed")
        image = image[0]
    if isinstance(image, dict):
        if image.get("bytes") and not image.get("path"):
            raise ValueError("its image is embedded: save it as a file, and name that")
        image = image.get("path")
    if not isinstance(image, str) or not image:
        raise ValueError("it lacks an image (the column image or images)")
    if Path(image).is_absolute() and Path(image).is_relative_to(root.resolve()):
        image = Path(image).relative_to(root.resolve()).as_posix()
    inside(root, image)
    return image


def _questions(row: dict[str, Any], reading: Reading) -> Iterator[tuple[str, Any, Reading]]:
    """The questions of a row, with their truths and what the numbers of these mean."""
    asked, answered = _said(row)
    if row.get("objects") is not None:
        yield from _swift(row["objects"], asked)
        return
    question = next((row[name] for name in QUERIES if isinstance(row.get(name), str)), asked)
    value = next((row[name] for name in TARGETS if row.get(name) is not None), answered)
    if not question:
        raise ValueError(f"it lacks a question ({', '.join(QUERIES)}, conversations or messages)")
    if value is None:
        raise ValueError(f"it lacks a box ({', '.join(TARGETS)}, or the answer in conversations or messages)")
    yield question, value, reading


def _said(row: dict[str, Any]) -> tuple[str, str | None]:
    """The first message of the user and the last of the assistant, in `messages` or `conversations`."""
    said: dict[str, list[str]] = {"user": [], "assistant": []}
    messages = row.get("messages") or row.get("conversations") or []
    if not isinstance(messages, list):
        raise ValueError("its messages are not a list")
    for message in messages:
        role, content = message.get("role", message.get("from")), message.get("content", message.get("value"))
        if isinstance(content, list):
            content = " ".join(str(part["text"]) for part in content if part.get("text"))
        who = {"human": "user", "gpt": "assistant"}.get(role, role)
        if who in said and isinstance(content, str):
            said[who].append(content)
    return next(iter(said["user"]), ""), next(reversed(said["assistant"]), None)


def _swift(objects: Any, asked: str) -> Iterator[tuple[str, Any, Reading]]:
    """One question for each different `ref`. Without `ref`, the user's own question for all boxes."""
    boxes, refs, kind = objects["bbox"], objects.get("ref") or [], objects.get("bbox_type") or "real"
    if kind not in SWIFT:
        raise ValueError(f"its bbox_type {kind!r:.40} is neither real nor norm1")
    if not boxes and refs:
        raise ValueError(f"its objects have {len(refs)} ref and no bbox")
    if not refs and ("<ref-object>" in asked or not asked):
        raise ValueError("its objects have no ref, and no message asks a question")
    refs = refs or [asked]
    if not boxes:
        yield asked, [], SWIFT[kind]
        return
    if len(set(refs)) == 1:
        refs = refs[:1] * len(boxes)
    if len(refs) != len(boxes):
        raise ValueError(f"its objects have {len(refs)} ref and {len(boxes)} bbox: they cannot be paired")
    for ref in dict.fromkeys(refs):
        yield ref, [box for of, box in zip(refs, boxes, strict=True) if of == ref], SWIFT[kind]


def _expression(question: str, pattern: re.Pattern[str] | None) -> str:
    text = re.sub(r"<(?:image|video|audio)>", "", question).strip()
    if pattern is not None:
        found = pattern.search(text)
        if found is None:
            raise ValueError(f"--query-pattern finds nothing in its question {text!r:.60}")
        text = found[1].strip()
    if not text:
        raise ValueError("its question is empty")
    return text
