"""Harnesses of the core: what a model wrote, coordinate spaces, true boxes."""

from dataclasses import replace
from random import Random
from typing import Any

import torch
from fuzz_drawing import as_json, box, changed, long_text, number, text, value

from rsreward import (
    SPACES,
    Space,
    TruthError,
    format_reward,
    from_pixels,
    oriented_to_pixels,
    parse_answer,
    parse_box_sets,
    parse_boxes,
    positional_reward,
    read_truth,
    smart_resize,
    space_named,
    to_pixels,
)
from rsreward.answers import DIALECTS, LARGEST, PROBLEMS
from rsreward.coordinates import MAX_SIDE
from rsreward.truth import target_boxes, target_sets

KINDS = {"horizontal": 4, "oriented": 5}
OF_KIND = {"horizontal": {4}, "oriented": {5}, "quad": {8}, "point": {2}, "none": set()}
FORMATS = (None, None, "xyxy", "xywh", "cxcywh", "quad", "oriented", "oriented-degrees", "of another")


def refused(error: Exception, *names: str) -> None:
    """An error must be one sentence that a person can read and that says what it is about."""
    said = str(error)
    assert 0 < len(said) < 1500, f"its message has {len(said)} characters"
    assert any(name in said for name in names), f"its message names none of {names}: {said!r}"


def draw_answer(r: Random) -> tuple[str, bool, str]:
    return (long_text if r.random() < 0.03 else text)(r), r.random() < 0.3, r.choice(list(SPACES))


def check_answer(drawn: tuple[str, bool, str]) -> None:
    """No exception, no NaN where a box is promised, no box where none is, and what the docs call by name."""
    written, think, space = drawn
    answer = parse_answer(written, think)
    assert {len(each) for each in answer.boxes} == OF_KIND[answer.kind]
    assert all(abs(number) <= LARGEST for each in answer.boxes + answer.mixed for number in each)
    assert len(set(answer.problems)) == len(answer.problems)
    assert PROBLEMS.keys() >= set(answer.problems)
    assert answer.dialect in DIALECTS if answer.boxes else answer.dialect == "none"
    assert not (answer.says_none and any(map(any, answer.boxes)))
    for kind, numbers in KINDS.items():
        read = {"kind": kind, "space": space, "width": 800, "height": 600}
        one = parse_boxes([answer], **read)
        (several,) = parse_box_sets([answer], **read)
        assert one.shape == (1, numbers)
        assert one.isfinite().all() or one.isnan().all()
        assert several.isfinite().all() or (len(several) == 1 and several.isnan().all())
        assert not (answer.kind == "none" and one.isfinite().any())
        target = torch.tensor([box(Random(0), numbers)], dtype=one.dtype)
        reward = positional_reward(one, target)
        assert 0 <= reward.item() <= 1.1 + 1e-6
        assert one.isfinite().all() or reward.item() == 0
        form = format_reward([written], kind=kind, think_in_prompt=think)
        assert form.item() in (0, 1)
        assert form.equal(format_reward([written], kind=kind, think_in_prompt=think, answers=[answer]))


def draw_space(r: Random) -> tuple[Any, ...]:
    spaces = [*SPACES.values()] * 3 + [Space("own", r.uniform(0.1, 5000), order=r.choice(("xy", "yx")))]
    options = {
        name: r.choice([None] * 9 + [number(r), text(r)]) for name in ("min_pixels", "max_pixels", "five", "order")
    }
    sides = [changed(r, r.randint(1, 5000), 0.15) for _ in range(2)]
    return (
        r.choice(spaces),
        r.choice((text(r)[:40], value(r), r.choice(list(SPACES)))),
        options,
        sides,
        box(r),
        number(r),
    )


def check_space(drawn: tuple[Any, ...]) -> None:
    """There and back is where one was; sizes that are not known give NaN; wrong options and sizes are refused."""
    space, name, options, sides, corners, angle = drawn
    try:
        named = space_named(name, **options)
        assert named.resized(100, 100)[0] > 0
    except (TypeError, ValueError) as error:
        refused(error, "space", "pixels", "five", "order")
    boxes = torch.tensor([corners], dtype=torch.float64)
    width, height = sides
    try:
        there = from_pixels(boxes, space, width, height)
        back = to_pixels(there, space, width, height)
        turned = oriented_to_pixels(torch.tensor([[*corners, float(angle.real)]]), replace(space), width, height)
    except (ValueError, OverflowError) as error:
        refused(error, "width", "height", "size", "aspect", "int too large")  # the last is float(angle) of our own
    else:
        told = [side[0] if isinstance(side, list | tuple) and side else side for side in sides]  # one for one box
        known = not space.needs_size or all(side is not None and side == side for side in told)
        assert torch.allclose(back, boxes, rtol=1e-9, atol=1e-6) if known else back.isnan().any()
        assert turned.shape == (1, 5)
    bounds = {"factor": 1 + int(corners[1]) % 64, "max_pixels": MAX_SIDE}
    try:
        new = smart_resize(int(corners[0]), int(corners[3]), min_pixels=1, **bounds)
        assert all(side > 0 and side % bounds["factor"] == 0 for side in new)
    except ValueError as error:
        refused(error, "aspect", "factor", "positive")


def draw_truth(r: Random) -> tuple[Any, dict[str, Any]]:
    quad = [10, 20, 30, 20, 30, 40, 10, 40]
    right = r.choice((
        box(r), [box(r), box(r)], box(r, 5), [box(r, 5)], quad, [quad], [[10, 20], [30, 20], [30, 40]], [],
        {"bbox": box(r)}, {"bbox": box(r), "area": 5}, tuple(box(r)), torch.tensor(box(r)), text(r),
    ))  # fmt: skip
    found = changed(r, right, 0.7)
    found = as_json(found) if r.random() < 0.3 else found
    options = {
        "kind": r.choice((None, "horizontal", "oriented")), "format": r.choice(FORMATS),
        "space": r.choice((None, None, *SPACES)), "width": changed(r, 800, 0.1), "height": changed(r, 600, 0.1),
    }  # fmt: skip
    return found, options


def check_truth(drawn: tuple[Any, dict[str, Any]]) -> None:
    """A truth is finite boxes of one kind and of the size that its kind has, or a sentence says why not."""
    found, options = drawn
    try:
        truth = read_truth(found, **options)
    except ValueError as error:
        refused(error, "")
    else:
        assert truth.kind == (options["kind"] or truth.kind)
        assert all(len(each) == KINDS[truth.kind] for each in truth.boxes)
        assert all(abs(number) < float("inf") for each in truth.boxes for number in each)
        assert truth.several or len(truth.boxes) == 1
    kind = options["kind"] or "horizontal"
    sizes = {name: [options[name]] for name in ("width", "height")}
    reading = {"format": options["format"], "space": options["space"]}
    for read in (target_boxes, target_sets):
        try:
            (row,) = read([found], kind, "the column 'target'", **sizes, **reading)
            assert row is None if found is None and read is target_sets else row.shape[-1] == KINDS[kind]
            assert found is None or row.isfinite().all()
        except TruthError as error:
            refused(error, "the column 'target'")
