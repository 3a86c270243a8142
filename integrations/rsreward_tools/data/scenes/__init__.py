"""Synthetic aerial scenes with referring expressions that position alone resolves."""

from .draw import draw_scene
from .layout import LEVELS, PLACES, Level, Scene, generate_scene
from .objects import SceneObject
from .phrases import Phrase, reasoning, resolve

__all__ = [
    "LEVELS",
    "PLACES",
    "Level",
    "Phrase",
    "Scene",
    "SceneObject",
    "draw_scene",
    "generate_scene",
    "reasoning",
    "resolve",
]
