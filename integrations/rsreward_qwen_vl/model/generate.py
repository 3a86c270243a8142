"""Answers of a model on rows of a dataset."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from transformers import PreTrainedModel, ProcessorMixin


@torch.no_grad()
def generate(
    model: PreTrainedModel,
    processor: ProcessorMixin,
    rows: Sequence[dict[str, Any]],
    *,
    sampled: bool,
    temperature: float = 1.0,
    seed: int = 0,
    batch_size: int = 64,
    max_new_tokens: int = 96,
    progress: Callable[[int], None] = lambda done: None,
) -> list[str]:
    """One completion a row, greedy or sampled from the whole distribution."""
    model.eval()
    torch.manual_seed(seed)
    whole = {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0}
    sampling = whole if sampled else {"do_sample": False}
    texts: list[str] = []
    for start in range(0, len(rows), batch_size):
        batch = rows[start : start + batch_size]
        inputs = processor(
            images=[row["images"] for row in batch],
            text=[_chat(processor, row) for row in batch],
            padding=True,
            padding_side="left",
            return_tensors="pt",
        ).to(model.device)
        output = model.generate(**inputs, max_new_tokens=max_new_tokens, **sampling)
        texts += processor.batch_decode(output[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        progress(len(texts))
    return texts


def _chat(processor: ProcessorMixin, row: dict[str, Any]) -> str:
    user = row["prompt"][0]
    content = [{"type": "image"}] * len(row["images"]) + [{"type": "text", "text": user["content"]}]
    text: str = processor.apply_chat_template([user | {"content": content}], tokenize=False, add_generation_prompt=True)
    return text
