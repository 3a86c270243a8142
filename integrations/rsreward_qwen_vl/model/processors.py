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

from rsreward import Space

IMAGE_TOKENS = {
    "image_token_id": "<|image_pad|>",
    "video_token_id": "<|video_pad|>",
    "vision_start_token_id": "<|vision_start|>",
    "vision_end_token_id": "<|vision_end|>",
}


class _ImageOnly:
    """A Qwen-VL processor without its video half, which alone would need torchvision.

    transformers reads the parts of a processor off the signature of its `__init__`.
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


IMAGE_ONLY = {"qwen3_vl": ImageOnlyQwen3VLProcessor, "qwen2_5_vl": ImageOnlyQwen2_5_VLProcessor}


def image_only(images: Qwen2VLImageProcessorPil, tokenizer: PreTrainedTokenizerFast, model_type: str) -> ProcessorMixin:
    """The processor of images and texts for a `model_type` of transformers."""
    if model_type not in IMAGE_ONLY:
        raise InputError(f"without torchvision only {' and '.join(IMAGE_ONLY)} models can be used, not {model_type}.")
    return IMAGE_ONLY[model_type](images, tokenizer, chat_template=tokenizer.chat_template)


def load_processor(model: str) -> ProcessorMixin:
    """The processor that was saved with a model, by its name on Hugging Face or its folder."""
    try:
        if is_torchvision_available():
            return AutoProcessor.from_pretrained(model)
        tokenizer, images = AutoTokenizer.from_pretrained(model), Qwen2VLImageProcessorPil.from_pretrained(model)
        return image_only(images, tokenizer, AutoConfig.from_pretrained(model).model_type)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"no processor could be loaded for the model {model!r}: {reason}") from None


def save_processor(processor: ProcessorMixin, folder: Path) -> None:
    """Save what `load_processor` reads."""
    processor.tokenizer.save_pretrained(folder)
    processor.image_processor.save_pretrained(folder)


def with_bounds_of(space: Space, processor: ProcessorMixin) -> Space:
    """The space under the bounds by which this processor resizes images, so that rollouts and rewards agree."""
    images = processor.image_processor
    if not space.factor or not hasattr(images, "merge_size"):
        return space
    factor, size = images.patch_size * images.merge_size, images.size
    if factor != space.factor:
        raise InputError(f"the space {space.name} has the factor {space.factor}, and the model's processor {factor}.")
    return space.bounded(size["shortest_edge"], size["longest_edge"])
