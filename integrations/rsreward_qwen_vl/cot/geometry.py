"""Chains for synthetic scenes, from the geometry of the scene."""

from collections.abc import AsyncIterator, Iterator

from rsreward_tools.data.example import Example
from rsreward_tools.data.scenes import generate_scene
from rsreward_tools.data.scenes.explained import explained
from rsreward_tools.errors import InputError

from . import Chain


async def from_geometry(examples: Iterator[Example]) -> AsyncIterator[Chain]:
    """The chains of scenes. The source_id of a scene is level:seed."""
    for example in examples:
        if example.dataset != "scenes":
            raise InputError(f"the data set {example.dataset} needs a teacher: give --endpoint and --model.")
        level, _, seed = example.source_id.partition(":")
        yield Chain(example, explained(generate_scene(int(seed), int(level))))
