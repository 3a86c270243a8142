"""What the rewards cost inside TRL and verl, in their real classes: a step of 4,096 completions, and one rollout."""

import json
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

import peers
from cases import Case, Peer
from rsreward import consistency_weight, format_reward, iou, parse_answer, parse_boxes, positional_reward
from step import GROUP, rollouts

TESTS = Path(__file__).parent.parent / "tests"
SIZES = {"quick": 64, "full": 4_096, "large": 4_096}
SPACE, SIDES = "qwen3-vl", {"width": 1000, "height": 800}
ROLLOUTS = 64  # of verl, scored one by one in each sample
IN_TRL = "N completions in TRL: format, boxes, weight"
IN_VERL = "a rollout in verl"
PARSING = "of it parse_answer"


def cases(sizes: str, device: str) -> Iterator[Case]:
    warnings.simplefilter("ignore")
    with suppress(ImportError, OSError):
        peers.torchvision()  # transformers imports it where it is installed, and it may need help
    yield from in_trl(SIZES[sizes])
    yield from in_verl()


def in_trl(size: int) -> Iterator[Case]:
    """GRPOTrainer's own `_calculate_rewards` and the weight behind it. Two batches by turns, as none comes twice."""
    sys.path.insert(0, str(TESTS / "trl"))
    try:
        from rsreward_trl import as_reward_func
        from tiny_grpo import build_trainer
        from trl import GRPOTrainer
    except ImportError as error:
        print(f"left out: TRL ({error})")
        return
    texts, target = rollouts(2 * size)
    rewards = [as_reward_func(positional_reward, space=SPACE), as_reward_func(format_reward)]
    with tempfile.TemporaryDirectory() as folder:
        trainer = build_trainer(Path(folder), reward_funcs=rewards, num_generations=GROUP)
        nothing = {"trainer": GRPOTrainer, "reward_funcs": [_nothing, _nothing]}
        bare = build_trainer(Path(folder), num_generations=GROUP, **nothing)

    def batch(rows: slice) -> Callable[[Any], None]:
        inputs = [{"target": box, **SIDES} for box in target[rows].repeat_interleave(GROUP, 0)[:size].tolist()]
        completions = [[{"role": "assistant", "content": text}] for text in texts[rows]]
        prompts: list[Any] = [[] for _ in inputs]

        def step(of: Any) -> None:
            of._calculate_rewards(inputs, prompts, completions, prompts)
            if of is trainer:
                of._consistency._weight_of_each()
            of._metrics["train"].clear()

        return step

    def core(rows: list[str]) -> None:
        answers = [parse_answer(text) for text in rows]
        pred = parse_boxes(answers, space=SPACE, **SIDES)
        positional_reward(pred, target[:size])
        format_reward(rows, answers=answers)
        consistency_weight(iou(pred, target[:size]).view(-1, GROUP))

    batches = [batch(slice(size)), batch(slice(size, None))]
    turns, bare_turns = cycle(batches), cycle(batches)
    some = texts[:size]
    parts = {
        "of it rsreward alone, without columns and logs": partial(core, some),
        PARSING: lambda: [parse_answer(text) for text in some],
        "of it TRL, with rewards of 0": lambda: next(bare_turns)(bare),
    }
    yield Case(
        "trainers", IN_TRL, size, (), lambda: next(turns)(trainer), "GRPOTrainer with the weight",
        [Peer(name, lambda *_, part=part: part, "a part", value=None) for name, part in parts.items()],
        lambda *_: 1, "ms", 1e3, value=None,
    )  # fmt: skip


def in_verl() -> Iterator[Case]:
    """`compute_score`, which verl calls, and the reward manager around it, which decodes and changes threads too."""
    sys.path.insert(0, str(TESTS / "verl"))
    try:
        from rsreward_verl.reward import GroundingRewardManager, compute_score
        from verl_rows import OUR_MANAGER, rollout, tokenizer_of, verl_config
    except ImportError as error:
        print(f"left out: verl ({error})")
        return
    texts, target = rollouts(ROLLOUTS)
    truths = [json.dumps({"bbox": box, **SIDES}) for box in target.tolist()]
    tokenizer = tokenizer_of(texts)
    manager = GroundingRewardManager(
        verl_config(*OUR_MANAGER, f"+reward.reward_kwargs.space={SPACE}"), tokenizer, compute_score
    )
    data = [rollout(tokenizer, [text], truth) for text, truth in zip(texts, truths, strict=True)]

    def score() -> None:
        for text, truth in zip(texts, truths, strict=True):
            compute_score("rsvg", text, truth, space=SPACE)

    def managed() -> None:
        for row in data:
            manager.loop.run_until_complete(manager.run_single(row))

    parts = {PARSING: lambda: [parse_answer(text) for text in texts], "the reward manager around it": managed}
    yield Case(
        "trainers", IN_VERL, ROLLOUTS, (), score, "compute_score",
        [Peer(name, lambda *_, part=part: part, "a part", value=None) for name, part in parts.items()],
        lambda *_: ROLLOUTS, "us a rollout", 1e6, value=None,
    )  # fmt: skip


def _nothing(completions: list[Any], **columns: Any) -> list[float]:
    return [0.0] * len(completions)
