"""What a model is to say about a scene: reasoning from its geometry, and the box."""

from rsreward import iou, parse_boxes

from ..prompts import response
from .layout import LEVELS, Scene
from .objects import SceneObject
from .phrases import reasoning

ANSWER_IOU = 0.5  # a reasoning chain whose rounded box overlaps the true one by less is a mistake


def explained(scene: Scene) -> str:
    """The completion to learn: reasoning from the scene's geometry, and the box it ends in.

    Raises:
        ValueError: if the box at the end is not the true one up to rounding.
    """
    grid = LEVELS[scene.level].grid

    def rounded(share: float, step: int) -> int:
        return round(share * 1000 / step) * step

    def point(thing: SceneObject) -> str:
        x, y = thing.centre
        return f"({rounded(x, 2 * grid)}, {rounded(y, 2 * grid)})"

    text = response(reasoning(scene.phrase, scene.objects, point), [rounded(v, grid) for v in scene.box(1)])
    if iou(parse_boxes([text]), parse_boxes([str(list(scene.box(1000)))])).item() < ANSWER_IOU:
        raise ValueError(f"the reasoning about scene {scene.seed} of level {scene.level} ends in another box: {text}")
    return text
