"""The processor of a Qwen-VL, with torchvision or without."""

from pathlib import Path

from rsreward_tools.errors import InputError
from transformers import (
    AutoConfig,
    AutoProcessor,
    AutoTokenizer,
    PreTrainedTokenizerFast,
    ProcessorMixin,
    Qwen2_5_VLProcessor,
    Qwen2VLImageProcessorPil,
    Qwen3VLProcessor,
)
from transformers.utils import is_torchvision_available

IMAGE_TOKENS = {
    "image_token_id": "<|image_pad|>",
    "video_token_id": "<|video_pad|>",
    "vision_start_token_id": "<|vision_start|>",
    "vision_end_token_id": "<|vision_end|>",
}


class _ImageOnly:
    """A Qwen-VL processor without its video half, the only part that needs torchvision.

    transformers takes the parts of a processor from the signature of its `__init__`.
    """

    def __init__(self, image_processor=None, tokenizer=None, chat_template=None, **kwargs):  # type: ignore[no-untyped-def]
        for name, token in IMAGE_TOKENS.items():
            setattr(self, name.removesuffix("_id"), token)
            setattr(self, name, tokenizer.convert_tokens_to_ids(token))
        ProcessorMixin.__init__(self, image_processor, tokenizer, chat_template=chat_template)


class ImageOnlyQwen3VLProcessor(_ImageOnly, Qwen3VLProcessor):
    pass


class ImageOnlyQwen2_5_VLProcessor(_ImageOnly, Qwen2_5_VLProcessor):
    pass


IMAGE_ONLY = {
    "qwen3_vl": ImageOnlyQwen3VLProcessor,
    "qwen3_5": ImageOnlyQwen3VLProcessor,
    "qwen2_5_vl": ImageOnlyQwen2_5_VLProcessor,
}


def image_only(images: Qwen2VLImageProcessorPil, tokenizer: PreTrainedTokenizerFast, model_type: str) -> ProcessorMixin:
    """The processor of images and texts for a `model_type` of transformers."""
    if model_type not in IMAGE_ONLY:
        raise InputError(f"without torchvision only {', '.join(IMAGE_ONLY)} models can be used, not {model_type}.")
    return IMAGE_ONLY[model_type](images, tokenizer, chat_template=tokenizer.chat_template)


def load_processor(model: str, min_pixels: int | None = None, max_pixels: int | None = None) -> ProcessorMixin:
    """The processor that was saved with a model, by its name on Hugging Face or its folder.

    Args:
        model: its name or its folder.
        min_pixels, max_pixels: bounds of a resized image. None: those that were saved.
    """
    try:
        if is_torchvision_available():
            processor = AutoProcessor.from_pretrained(model)
        else:
            tokenizer, images = AutoTokenizer.from_pretrained(model), Qwen2VLImageProcessorPil.from_pretrained(model)
            processor = image_only(images, tokenizer, AutoConfig.from_pretrained(model).model_type)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"no processor could be loaded for the model {model!r}: {reason}") from None
    size = processor.image_processor.size
    bounds = {"shortest_edge": min_pixels, "longest_edge": max_pixels}
    for edge in [edge for edge, bound in bounds.items() if bound is not None]:
        size[edge] = bounds[edge]
        if size["shortest_edge"] > size["longest_edge"]:
            raise InputError(f"the model {model!r} cannot have the bounds {dict(size)}: give both of them.")
    return processor


def opens_thought(processor: ProcessorMixin) -> bool:
    """Whether the chat template opens `<think>` before the model's answer, so that the answer begins inside it."""
    chat = [{"role": "user", "content": [{"type": "text", "text": ""}]}]
    text: str = processor.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    return text.rstrip().endswith("<think>")


def save_processor(processor: ProcessorMixin, folder: Path) -> None:
    """Save what `load_processor` reads."""
    processor.tokenizer.save_pretrained(folder)
    processor.image_processor.save_pretrained(folder)
