"""The weight around swift's functions."""

import warnings
from types import ModuleType

import pytest
import swift_functions
import torch
from rsreward_swift.options import read_options
from rsreward_swift.rewards import RSFormat, RSIoU, RSPositional
from rsreward_swift.weight import ConsistencyWeight, install

FUNCTIONS = ("compute_rewards_per_func", "compute_advantages", "compute_advantages_dynamic")


def options(**told):
    return read_options({"RSREWARD_SPACE": "pixel"} | {f"RSREWARD_{name.upper()}": told[name] for name in told})


def modules(**replaced):
    """swift as `sys.modules` holds it, with a trainer that has imported the functions already."""
    found = {}
    for name, functions in {
        "swift.rl_core.grpo_algorithm": FUNCTIONS[:1],
        "swift.rl_core.advantage": FUNCTIONS[1:],
        "swift.rlhf_trainers.grpo_trainer": FUNCTIONS[1:],
        "other": FUNCTIONS,
    }.items():
        found[name] = ModuleType(name)
        for function in functions:
            setattr(found[name], function, replaced.get(function, getattr(swift_functions, function)))
    return found


def trained(rows, rewards, weights, told, **settings):
    """Advantages as the trainer computes them, the plug-in loaded; and those without it."""
    swift = modules()
    install(ConsistencyWeight(told), swift)
    table = swift["swift.rl_core.grpo_algorithm"].compute_rewards_per_func(
        samples=rows, reward_funcs=rewards, reward_model_plugins=None, device=None
    )
    call = {"rewards_per_func": table, "reward_weights": torch.tensor(weights), "num_generations": 2} | settings
    plain, _ = swift["other"].compute_advantages(**call)
    return *swift["swift.rlhf_trainers.grpo_trainer"].compute_advantages(**call), plain


def rows(*boxes, target=(0, 0, 10, 10)):
    texts = [f"<think>a</think><answer>{list(box)}</answer>" if box else "none" for box in boxes]
    return [{"completion": text, "target": target} for text in texts]


ROWS = [*rows((0, 0, 10, 5), None), *rows((0, 0, 10, 10), (0, 0, 10, 9))]


@pytest.mark.parametrize("scale_rewards", ["group", "none"])
def test_advantages_of_each_group_are_multiplied_by_its_weight(scale_rewards):
    told = options(clip="[0.5, 9]")
    rewards = [RSPositional(told), RSIoU(told), RSFormat(told)]
    weighted, total, plain = trained(ROWS, rewards, [1.0, 0.0, 1.0], told, scale_rewards=scale_rewards)
    mean, var = torch.tensor([0.25, 0.95]), torch.tensor([0.0625, 0.0025])
    weight = torch.exp(1.2 * (1 - mean) + var)
    assert torch.allclose(weighted, plain * weight.repeat_interleave(2))
    assert plain.abs().min() > 0
    assert torch.equal(total, torch.tensor([r + f for r, f in zip(*scores(rewards), strict=True)]))


def scores(rewards):
    columns = {name: [row[name] for row in ROWS] for name in ROWS[0]}
    return [
        torch.tensor(reward(columns["completion"], target=columns["target"])) for reward in (rewards[0], rewards[2])
    ]


def test_a_group_with_a_row_without_a_true_box_keeps_weight_1():
    told = options()
    batch = [*rows((0, 0, 10, 5), target=None), *rows(None), *ROWS[:2]]
    weighted, _, plain = trained(batch, [RSPositional(told), RSFormat(told), RSIoU(told)], [1.0, 1.0, 0.0], told)
    assert torch.equal(weighted[:2], plain[:2])
    assert torch.allclose(weighted[2:], plain[2:] * torch.exp(torch.tensor(1.2 * 0.75 + 0.0625)))


def test_weights_that_are_mostly_at_their_bound_are_told():
    with pytest.warns(UserWarning, match="the consistency weight: 64 of 64 groups have a weight at a bound"):
        ConsistencyWeight(options()).weights(torch.zeros(64, 2))
    with warnings.catch_warnings(action="error"):
        ConsistencyWeight(options(watch="false")).weights(torch.zeros(64, 2))


def test_without_the_iou_there_is_no_weight():
    told = options()
    weighted, _, plain = trained(ROWS, [RSPositional(told), RSFormat(told)], [1.0, 1.0], told)
    assert torch.equal(weighted, plain)


def test_options_of_the_weight_without_the_iou_are_refused():
    told = options(clip="[1, 2]")
    with pytest.raises(ValueError, match="the options clip are of the consistency weight, which needs rs_iou"):
        trained(ROWS, [RSPositional(told), RSFormat(told)], [1.0, 1.0], told)


def test_an_iou_that_is_added_to_the_reward_is_refused():
    told = options()
    with pytest.raises(ValueError, match="its --reward_weights must be 0, got 1"):
        trained(ROWS, [RSPositional(told), RSIoU(told)], [0.0, 1.0], told)


def test_split_rollouts_are_refused():
    told, swift = options(), modules()
    install(ConsistencyWeight(told), swift)
    dynamic = swift["swift.rlhf_trainers.grpo_trainer"].compute_advantages_dynamic
    call = torch.ones(2, 2), torch.ones(2), ["p", "p"], ["r", "s"]
    assert dynamic(*call)[0].tolist() == [2, 2]
    swift["swift.rl_core.grpo_algorithm"].compute_rewards_per_func(ROWS, [RSPositional(told), RSIoU(told)], None, None)
    with pytest.raises(ValueError, match="the multi-turn scheduler has split rollouts"):
        dynamic(*call)


def test_only_what_is_swifts_is_replaced():
    swift = modules()
    install(ConsistencyWeight(options()), swift)
    assert vars(swift["other"]).keys() >= set(FUNCTIONS)
    assert all(getattr(swift["other"], name) is getattr(swift_functions, name) for name in FUNCTIONS)


def test_a_swift_whose_functions_have_moved_is_refused():
    swift = modules()
    del swift["swift.rl_core.advantage"].compute_advantages
    with pytest.raises(ImportError, match=r"advantage\.compute_advantages of ms-swift 4\.6, which does not exist"):
        install(ConsistencyWeight(options()), swift)


def test_a_swift_whose_signature_has_changed_is_refused():
    def compute_advantages(batch, num_generations):
        return batch

    with pytest.raises(ImportError, match=r"which takes \(batch, num_generations\) here: use that release"):
        install(ConsistencyWeight(options()), modules(compute_advantages=compute_advantages))
