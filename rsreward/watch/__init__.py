"""A watch on the reward while a model trains, and the signs that it looks for."""

from .reward import AGAIN, NAMES, RewardWatch, WeightWatch
from .signs import SIGNS, Signs, covers_image, cut_off, first_boxes

__all__ = ["AGAIN", "NAMES", "SIGNS", "RewardWatch", "Signs", "WeightWatch", "covers_image", "cut_off", "first_boxes"]
