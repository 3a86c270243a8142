"""A Qwen-VL of one to two million parameters, from the real config classes, with its tokenizer and processor."""

from collections.abc import Iterable
from typing import Any

import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor
from transformers import (
    PreTrainedModel,
    PreTrainedTokenizerFast,
    ProcessorMixin,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2VLImageProcessorPil,
    Qwen3_5Config,
    Qwen3_5ForConditionalGeneration,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
)

from .processors import IMAGE_TOKENS, image_only

SPECIAL_TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *IMAGE_TOKENS.values()]
TEXT_TOKENS = ["<think>", "</think>", "<answer>", "</answer>"]

# Qwen's template for chats of text and images, without the default system prompt.
CHAT_TEMPLATE = """\
{%- for message in messages %}<|im_start|>{{ message['role'] }}
{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for part in message['content'] -%}
{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ part['text'] }}{% endif %}
{%- endfor %}{% endif %}<|im_end|>
{% endfor %}
{%- if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""


def train_tokenizer(texts: Iterable[str], vocab_size: int = 512) -> PreTrainedTokenizerFast:
    """A byte-level BPE with Qwen's special tokens. A number is one token, a frequent phrase may be."""
    tokenizer = Tokenizer(models.BPE())
    pieces = Regex(r"\p{N}+|[^\p{N}]+")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(pieces, "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=vocab_size, initial_alphabet=alphabet, show_progress=False)
    )
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in SPECIAL_TOKENS])
    tokenizer.add_tokens([AddedToken(t, special=False, normalized=False) for t in TEXT_TOKENS])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",  # noqa: S106
        pad_token="<|endoftext|>",  # noqa: S106
        padding_side="left",
        clean_up_tokenization_spaces=False,
        chat_template=CHAT_TEMPLATE,
    )


PATCH_SIZE = {"qwen3.5": 16, "qwen3-vl": 16, "qwen2.5-vl": 14}


def build_processor(tokenizer: PreTrainedTokenizerFast, family: str, image_size: int) -> ProcessorMixin:
    """The processor of a tiny model, which resizes square images to `image_size` x `image_size`."""
    images = Qwen2VLImageProcessorPil(
        patch_size=PATCH_SIZE[family], size={"shortest_edge": image_size**2, "longest_edge": image_size**2}
    )
    return image_only(images, tokenizer, family.replace("-", "_").replace(".", "_"))


def build_model(
    tokenizer: PreTrainedTokenizerFast,
    family: str,
    image_size: int,
    *,
    width: int = 128,
    layers: int = 3,
    vision_width: int = 96,
    vision_layers: int = 2,
    seed: int = 0,
) -> PreTrainedModel:
    """A randomly initialised Qwen-VL that learns where things are within minutes.

    The usual initialisation (0.02) is for wide layers: at this width activations would almost vanish. Here weights have
    the size 1 / sqrt(width), and the positions of the vision tower start as sines, about as loud as the patches.
    Without these the model learns what is in an image, but for thousands of steps not where.
    """
    torch.manual_seed(seed)
    initializer_range = 0.1
    head = width // 4
    section = head // 6
    text: dict[str, Any] = {
        "vocab_size": len(tokenizer), "hidden_size": width, "intermediate_size": 3 * width, "num_hidden_layers": layers,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": head, "max_position_embeddings": 1024,
        "initializer_range": initializer_range, "tie_word_embeddings": True,
        "bos_token_id": None, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id,
        "rope_parameters": {
            "rope_type": "default", "rope_theta": 10000.0, "mrope_section": [head // 2 - 2 * section, section, section],
        },
    }  # fmt: skip
    vision: dict[str, Any] = {
        "depth": vision_layers, "hidden_size": vision_width, "intermediate_size": 3 * vision_width, "num_heads": 4,
        "patch_size": PATCH_SIZE[family], "out_hidden_size": width, "initializer_range": initializer_range,
    }  # fmt: skip
    shared = {name: tokenizer.convert_tokens_to_ids(token) for name, token in IMAGE_TOKENS.items()}
    if family != "qwen2.5-vl":
        text["rope_parameters"]["mrope_interleaved"] = True
        vision["num_position_embeddings"] = (image_size // PATCH_SIZE[family]) ** 2
        if family == "qwen3-vl":
            vision["deepstack_visual_indexes"] = [0]
            config = Qwen3VLConfig(text_config=text, vision_config=vision, tie_word_embeddings=True, **shared)
            model = Qwen3VLForConditionalGeneration(config)
        else:
            text["rope_parameters"]["partial_rotary_factor"] = 1.0
            text["layer_types"] = [("linear_attention", "full_attention")[i % 2] for i in range(layers)]
            text |= {"linear_num_key_heads": 2, "linear_num_value_heads": 4}
            text |= {"linear_key_head_dim": head // 2, "linear_value_head_dim": head // 2}
            config = Qwen3_5Config(text_config=text, vision_config=vision, tie_word_embeddings=True, **shared)
            model = Qwen3_5ForConditionalGeneration(config)
        model.model.visual.pos_embed.weight.data.copy_(_sines(image_size // PATCH_SIZE[family], vision_width))
    else:
        text.pop("head_dim")
        vision |= {"fullatt_block_indexes": list(range(vision_layers)), "window_size": image_size}
        config = Qwen2_5_VLConfig(text_config=text, vision_config=vision, tie_word_embeddings=True, **shared)
        model = Qwen2_5_VLForConditionalGeneration(config)
    model.model.visual.patch_embed.proj.weight.data.mul_(0.25)  # each patch has 1,536 inputs
    for settings in (model.config, model.generation_config):
        settings.eos_token_id, settings.pad_token_id = tokenizer.eos_token_id, tokenizer.pad_token_id
    return model


def look_once(model: PreTrainedModel) -> None:
    """Let the vision tower see each distinct image of a batch once: TRL gives every rollout of a group its own copy."""
    tower = model.model.visual
    see = tower.forward

    def forward(hidden_states: Tensor, grid_thw: Tensor, **kwargs: Any) -> Any:
        images = hidden_states.view(len(grid_thw), -1)
        keys, which = images.double().sum(1).unique(return_inverse=True)
        places = torch.arange(len(images), device=which.device)
        first = places.new_full((len(keys),), len(images)).scatter_reduce(0, which, places, "amin")
        if not torch.equal(images[first][which], images) or not torch.equal(grid_thw, grid_thw[:1].expand_as(grid_thw)):
            return see(hidden_states, grid_thw=grid_thw, **kwargs)  # two images of one sum, or several sizes
        patches = hidden_states.view(len(images), -1, hidden_states.shape[-1])[first].flatten(0, 1)
        seen = see(patches, grid_thw=grid_thw[first], **kwargs)

        def of_each(features: Tensor) -> Tensor:
            return features.view(len(first), -1, features.shape[-1])[which].flatten(0, 1)

        seen.last_hidden_state, seen.pooler_output = of_each(seen.last_hidden_state), of_each(seen.pooler_output)
        seen.deepstack_features = [of_each(features) for features in seen.deepstack_features]
        return seen

    tower.forward = forward


def _sines(side: int, width: int) -> Tensor:
    """`(side^2, width)`: sines and cosines of x and y at wavelengths from twice the image to a tenth of it."""
    frequencies = torch.pi * torch.logspace(0, 1.3, width // 4)
    place = torch.linspace(0, 1, side)
    waves = torch.cat([torch.sin(place[:, None] * frequencies), torch.cos(place[:, None] * frequencies)], 1)
    columns, rows = waves.expand(side, side, -1), waves[:, None].expand(side, side, -1)
    return torch.cat([columns, rows], -1).view(side * side, width)
