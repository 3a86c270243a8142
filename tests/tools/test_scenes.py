from math import pi

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from rsreward_tools.data.scenes import (
    LEVELS,
    PLACES,
    Phrase,
    SceneObject,
    draw_scene,
    generate_scene,
    reasoning,
    resolve,
)
from rsreward_tools.data.scenes.explained import explained
from rsreward_tools.data.scenes.objects import SHAPES

from rsreward import parse_answer

levels = st.sampled_from(sorted(LEVELS))
seeds = st.integers(0, 10**6)


def tank(x, y, length=0.1):
    return SceneObject("storage tank", x, y, length, length, 0.0, (0, 0, 0))


BUILDING = SceneObject("building", 0.5, 0.5, 0.1, 0.08, 0.0, (0, 0, 0))


@given(seeds, levels)
def test_a_scene_is_the_same_for_the_same_seed(seed, level):
    scene = generate_scene(seed, level)
    assert scene == generate_scene(seed, level)
    assert np.array_equal(draw_scene(scene, 32), draw_scene(generate_scene(seed, level), 32))


@given(seeds, levels)
def test_the_question_needs_position(seed, level):
    scene = generate_scene(seed, level)
    alike = [o for o in scene.objects if o.category == scene.target.category]
    assert len(alike) >= 2
    assert scene.phrase.depth == LEVELS[level].depth
    assert resolve(scene.phrase, scene.objects) == scene.objects.index(scene.target)


@given(seeds, levels)
def test_objects_lie_apart_and_inside_the_image(seed, level):
    boxes = [shapely.box(*o.box) for o in generate_scene(seed, level).objects]
    assert all(shapely.box(0, 0, 1, 1).contains(box) for box in boxes)
    assert not any(a.intersects(b) for i, a in enumerate(boxes) for b in boxes[:i])


@given(seeds, levels)
def test_the_boxes_are_those_of_what_is_drawn(seed, level):
    target = generate_scene(seed, level).target
    outline = shapely.Polygon(target.place(SHAPES[target.category].outline))
    assert target.box == pytest.approx(outline.bounds)
    cx, cy, w, h, angle = target.oriented_box
    upright = shapely.affinity.rotate(outline, -angle * 180 / pi, (cx, cy))
    assert upright.bounds == pytest.approx((cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2))


@pytest.mark.parametrize("category", SHAPES)
def test_every_outline_fills_its_frame(category):
    assert shapely.Polygon(SHAPES[category].outline).bounds == pytest.approx((-0.5, -0.5, 0.5, 0.5))


@given(seeds, levels)
def test_the_reasoning_names_the_reference_first_and_ends_in_the_true_box(seed, level):
    scene = generate_scene(seed, level)
    read = parse_answer(explained(scene))
    step = LEVELS[level].grid / 2 + 1e-6
    assert read.boxes[0] == pytest.approx(scene.box(1000), abs=step)
    assert read.problems == ()
    names = {id(o): f"<{i}>" for i, o in enumerate(scene.objects)}
    chain = reasoning(scene.phrase, scene.objects, lambda o: names[id(o)])
    assert chain.rstrip(".").endswith(names[id(scene.target)])
    assert chain.count("<") >= 2


def test_every_place_turns_up():
    assert {generate_scene(seed, 2).place for seed in range(60)} == set(PLACES)


def test_a_target_covers_what_is_drawn_there():
    scene = generate_scene(3, 1)
    x1, y1, x2, y2 = (round(v) for v in scene.box(200))
    picture = np.asarray(draw_scene(scene, 200), dtype=float)
    ground = np.array(PLACES[scene.place].ground)
    inside = np.abs(picture[y1:y2, x1:x2] - ground).mean()
    assert inside > 2 * np.abs(picture[:10, :10] - ground).mean()


@pytest.mark.parametrize(
    ("relation", "expected"),
    [("left", 0), ("right", 1), ("upper", 2), ("lower", 3)],
)
def test_extremes(relation, expected):
    tanks = [tank(0.1, 0.5), tank(0.9, 0.5), tank(0.5, 0.1), tank(0.5, 0.9)]
    assert resolve(Phrase("storage tank", relation), tanks) == expected


def test_directions_run_with_y_downwards():
    around = {
        "to the right of": (0.9, 0.5), "at the lower right of": (0.9, 0.9), "below": (0.5, 0.9),
        "at the lower left of": (0.1, 0.9), "to the left of": (0.1, 0.5), "at the upper left of": (0.1, 0.1),
        "above": (0.5, 0.1), "at the upper right of": (0.9, 0.1),
    }  # fmt: skip
    for asked in around:
        for direction, place in around.items():
            found = resolve(Phrase("storage tank", asked, Phrase("building")), [BUILDING, tank(*place)])
            assert found == (1 if direction == asked else None)


def test_ordinals_count_from_the_anchor():
    tanks = [BUILDING, tank(0.9, 0.5), tank(0.62, 0.5), tank(0.5, 0.25)]
    found = [resolve(Phrase("storage tank", o, Phrase("building")), tanks) for o in ("nearest", "second", "third")]
    assert found == [2, 3, 1]


def test_what_a_person_would_hesitate_about_is_not_asked():
    assert resolve(Phrase("storage tank", "left"), [tank(0.50, 0.2), tank(0.53, 0.8)]) is None
    assert resolve(Phrase("storage tank"), [tank(0.2, 0.2), tank(0.8, 0.8)]) is None
    assert resolve(Phrase("storage tank", "largest"), [tank(0.2, 0.2, 0.2), tank(0.8, 0.8, 0.21)]) is None


def test_a_chain_does_not_come_back_to_where_it_was():
    tanks = [tank(0.1, 0.5), tank(0.5, 0.5)]
    there = Phrase("storage tank", "to the right of", Phrase("storage tank", "left"))
    assert resolve(there, tanks) == 1
    assert resolve(Phrase("storage tank", "to the left of", there), tanks) is None


def test_an_unknown_level_is_named():
    with pytest.raises(ValueError, match="level must be one of 1, 2, 3, 4, got 9"):
        generate_scene(0, 9)
