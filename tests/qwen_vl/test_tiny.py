import pytest
import torch
from rsreward_qwen_vl.model.generate import generate
from rsreward_qwen_vl.model.tiny import build_model, build_processor, train_tokenizer
from rsreward_qwen_vl.scene_rows import scene_dataset, scene_row
from rsreward_tools.data.prompts import instruction
from rsreward_tools.data.scenes import generate_scene
from rsreward_tools.data.scenes.explained import explained
from transformers import (
    Qwen2_5_VLForConditionalGeneration,
    Qwen3_5ForConditionalGeneration,
    Qwen3VLForConditionalGeneration,
)

from rsreward import parse_answer

FAMILIES = {
    "qwen3.5": (Qwen3_5ForConditionalGeneration, 64),
    "qwen3-vl": (Qwen3VLForConditionalGeneration, 64),
    "qwen2.5-vl": (Qwen2_5_VLForConditionalGeneration, 56),
}


@pytest.fixture(scope="module")
def tokenizer():
    scenes = [generate_scene(seed, 1) for seed in range(50)]
    return train_tokenizer([text for s in scenes for text in (instruction(s.query), explained(s))])


def test_the_tokenizer_gives_back_what_it_was_given(tokenizer):
    for seed in range(1000, 1050):
        text = explained(generate_scene(seed, 3))
        assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_tags_and_numbers_are_single_tokens(tokenizer):
    assert tokenizer.tokenize("<think></think><answer></answer>") == ["<think>", "</think>", "<answer>", "</answer>"]
    assert tokenizer.tokenize("350") == ["350"]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_tiny_model_of_each_family_answers_about_images(tokenizer, family):
    kind, size = FAMILIES[family]
    model, processor = build_model(tokenizer, family, size), build_processor(tokenizer, family, size)
    assert isinstance(model, kind)
    assert 1e6 < sum(p.numel() for p in model.parameters()) < 2e6
    rows = [scene_row(seed, 1, size) for seed in range(3)]
    texts = generate(model, processor, rows, sampled=False, max_new_tokens=4, batch_size=2)
    assert len(texts) == 3
    assert not any(parse_answer(text).boxes for text in texts)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_answer_depends_on_the_image(tokenizer, family):
    _, size = FAMILIES[family]
    model, processor = build_model(tokenizer, family, size).eval(), build_processor(tokenizer, family, size)
    chat = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Locate the left ship."}]}]
    text = processor.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    images = [scene_row(seed, 1, size)["images"] for seed in (1, 2)]
    inputs = processor(images=images, text=[text] * 2, return_tensors="pt")
    with torch.no_grad():
        logits = model(**inputs).logits[:, -1]
    assert not torch.allclose(logits[0], logits[1])


def test_sampling_follows_the_seed(tokenizer):
    model, processor = build_model(tokenizer, "qwen3-vl", 64), build_processor(tokenizer, "qwen3-vl", 64)
    rows = [scene_row(seed, 1, 64) for seed in range(2)]
    again = [generate(model, processor, rows, sampled=True, seed=s, max_new_tokens=8) for s in (0, 0, 1)]
    assert again[0] == again[1] != again[2]


def test_the_same_seed_builds_the_same_model(tokenizer):
    a, b, c = (build_model(tokenizer, "qwen3-vl", 64, seed=seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert any(not torch.equal(a[name], c[name]) for name in a)


def test_rows_for_grpo_do_not_hold_the_answer():
    rows = scene_dataset(range(4), 1, 64, completions=False)
    assert "completion" not in rows[0]
    assert rows[0]["images"][0].size == (64, 64)
    assert rows[2]["prompt"] == scene_row(2, 1, 64)["prompt"]
