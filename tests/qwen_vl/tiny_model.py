"""A tiny model as users have theirs: in a folder, with its processor."""

from pathlib import Path

from rsreward_qwen_vl.model.processors import save_processor
from rsreward_qwen_vl.model.tiny import build_model, build_processor, train_tokenizer
from rsreward_tools.data.prompts import TEMPLATE, instruction
from rsreward_tools.data.scenes import Scene
from rsreward_tools.data.scenes.explained import explained


def save_tiny(folder: Path, scenes: list[Scene], layers: int) -> None:
    """A tiny Qwen3-VL with its processor, as a model is saved; its tokenizer has seen what these scenes ask and say."""
    texts = [text for s in scenes for text in (instruction(s.query, TEMPLATE), explained(s))]
    tokenizer = train_tokenizer(texts)
    build_model(tokenizer, "qwen3-vl", 64, layers=layers).save_pretrained(folder)
    save_processor(build_processor(tokenizer, "qwen3-vl", 64), folder)
