"""The Triton kernels against the plain formulas: on a GPU where there is one, else in Triton's interpreter."""

import sys

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx

from rsreward import (
    consistency_weight,
    dispatch,
    gaussian_proximity,
    group_agreement,
    iou,
    oriented_iou,
    positional_reward,
)
from rsreward.fast import triton

from .. import samples
from ..samples import FORMS, HALF, KINDS

GPU = torch.cuda.is_available()
DEVICE = "cuda" if GPU else "cpu"
pytestmark = [pytest.mark.usefixtures("kernels"), pytest.mark.filterwarnings("ignore::RuntimeWarning")]
pytestmark += [pytest.mark.gpu] if GPU else []
halves = pytest.mark.parametrize("dtype", HALF)
only_gpu = pytest.mark.skipif(not GPU, reason="there is no CUDA device")
SCALE = 20 if GPU else 1  # more rows where they cost nothing


def placed(sample):
    return lambda *args: [boxes.to(DEVICE) for boxes in sample(*args)]


near_pairs, odd_pairs, group_boxes, pairs = map(
    placed, (samples.near_pairs, samples.odd_pairs, samples.group_boxes, samples.pairs)
)


def close(got, expected, dtype=torch.float32, atol=1e-6):
    assert got.dtype == dtype
    rounding = 2 * HALF[dtype]  # the interpreter cuts bfloat16 off
    atol = max(2e-6 if GPU and atol == 1e-6 else atol, rounding * 1e-3)
    torch.testing.assert_close(got.double(), expected.to(got.device).double(), rtol=rounding, atol=atol)


@halves
def test_iou_equals_the_plain_float64_path(dtype):
    pred, target = (boxes.to(dtype) for boxes in near_pairs(2_000 * SCALE))
    close(iou(pred, target), iou(pred.double(), target.double()), dtype)


@halves
@pytest.mark.parametrize("form", FORMS)
def test_proximity_and_reward_equal_the_plain_float64_path(form, dtype):
    pred, target = (boxes.to(dtype) for boxes in near_pairs(2_000 * SCALE))
    exact = pred.double(), target.double()
    close(gaussian_proximity(pred, target, over=form), gaussian_proximity(*exact, over=form), dtype, 5e-6)
    options = {"alpha": 2.5 if form == "wasserstein" else 1.5, "beta": 0.3, "proximity": form}
    close(positional_reward(pred, target, **options), positional_reward(*exact, **options), dtype, 2e-6)


def plain(function, *boxes, **options):
    with dispatch.implementation("plain"):
        return function(*boxes, **options)


def in_kernels(*tensors):
    return dispatch._suits_kernel(tensors)


@pytest.mark.parametrize("form", FORMS)
def test_odd_rows_score_as_on_the_plain_path(form):
    pred, target = odd_pairs(20_000, 4)
    close(iou(pred, target), plain(iou, pred, target))
    reward = positional_reward(pred, target, proximity=form)
    assert ((reward >= 0) & (reward <= 1.1 + 1e-6)).all()
    sizes = torch.cat([pred, target], 1).abs()
    rows = ~(sizes.isfinite() & (sizes > 0) & ((sizes > 1e10) | (sizes < 1e-10))).any(1)  # the others are no image's
    close(reward[rows], plain(positional_reward, pred[rows], target[rows], proximity=form))


@pytest.mark.parametrize("scale", [1e-44, 1e-30, 1.0, 1e30, 1e36])
def test_equal_boxes_score_1_exactly_at_every_scale(scale):
    _, target = near_pairs(500)
    target = target.round() * scale
    assert (iou(target, target) == 1).all()
    close(positional_reward(target + 0 * target, target), torch.full([500], 1.1))


LAYOUTS = {
    "one target for all": lambda p, t: (p, t[0]),
    "one pred for all": lambda p, t: (p[:1], t),
    "one target a group": lambda p, t: (p.view(20, 30, 4), t.view(20, 30, 4)[:, :1]),
    "one target a group, expanded": lambda p, t: (p.view(20, 30, 4), t.view(20, 30, 4)[:, :1].expand(20, 30, 4)),
    "groups in another order": lambda p, t: (p.view(20, 30, 4), t.view(20, 30, 4)[0]),
    "every pair": lambda p, t: (p[:20, None], t[None, :30]),
    "planes": lambda p, t: (p.T.contiguous().T, t),
    "every third row": lambda p, t: (p[::3], t[1::3]),
    "columns of a wider table": lambda p, t: (torch.cat([t, p, t], 1)[:, 4:8], t),
    "one row": lambda p, t: (p[7], t[7]),
    "no rows": lambda p, t: (p[:0], t[:0]),
    "no rows, broadcast": lambda p, t: (p[:0, None], t[None]),
    "mixed precision": lambda p, t: (p.bfloat16(), t.half()),
    "half and single": lambda p, t: (p.half(), t),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_any_layout_is_read_right(name):
    pred, target = LAYOUTS[name](*near_pairs(600))
    close(positional_reward(pred, target), positional_reward(pred.double(), target.double()), atol=2e-6)
    oriented = [torch.cat([boxes, boxes[..., :1] / 9], -1) for boxes in (pred, target)]
    close(positional_reward(*oriented), positional_reward(*(boxes.double() for boxes in oriented)))


@pytest.mark.parametrize("kind", KINDS)
def test_oriented_iou_equals_the_plain_float64_path(kind):
    pred, target = (boxes.float() for boxes in pairs(kind, torch.Generator().manual_seed(0), 1_000))
    close(oriented_iou(pred, target), oriented_iou(pred.double(), target.double()), atol=1e-7)


@halves
@pytest.mark.parametrize("form", FORMS)
def test_oriented_reward_equals_the_plain_float64_path(form, dtype):
    pred, target = (boxes.to(dtype) for boxes in pairs("noise 1", torch.Generator().manual_seed(0), 1_000))
    exact = pred.double(), target.double()
    close(positional_reward(pred, target, proximity=form), positional_reward(*exact, proximity=form), dtype)


@pytest.mark.parametrize("form", FORMS)
def test_odd_oriented_rows_score_as_on_the_plain_path(form):
    pred, target = odd_pairs(5_000 * SCALE, 5)
    reward = positional_reward(pred, target, proximity=form)
    assert ((reward >= 0) & (reward <= 1.1 + 1e-6)).all()
    rows = (pred[:, 4].abs() < 1e15) & (target[:, 4].abs() < 1e15) | ~torch.cat([pred, target], 1).isfinite().all(1)
    close(reward[rows], plain(positional_reward, pred[rows], target[rows], proximity=form))


@halves
@pytest.mark.parametrize("size", [1, 2, 7, 64, 300])
def test_the_weight_from_ious_equals_the_plain_path(size, dtype):
    given = torch.rand(50, size, generator=torch.Generator().manual_seed(0)).to(DEVICE, dtype)
    given[::7, 0], given[1::7, -1] = torch.nan, torch.inf
    for options in ({}, {"lambda_var": -2.0, "clip": (0.0, 9.0), "normalize": True}):
        close(consistency_weight(given, **options), consistency_weight(given.double(), **options), dtype)
    close(consistency_weight(given.T), consistency_weight(given.T.double()), dtype)


@halves
@pytest.mark.parametrize("size", [1, 2, 7, 65])
def test_agreement_equals_the_plain_float64_path(size, dtype):
    boxes = group_boxes(9, size)[0].to(dtype)
    close(group_agreement(boxes), group_agreement(boxes.double()), dtype)
    close(group_agreement(boxes[::2]), group_agreement(boxes[::2].double()), dtype)


def test_agreement_of_odd_boxes_equals_the_plain_path():
    boxes = odd_pairs(4_000, 4)[0].view(500, 8, 4)
    close(group_agreement(boxes), plain(group_agreement, boxes))
    scales = group_boxes(3, 8)[0][0] * torch.logspace(-40, 34, 60, device=DEVICE)[:, None, None]
    close(group_agreement(scales.reshape(20, -1, 4)), group_agreement(scales.reshape(20, -1, 4).double()), atol=1e-5)


def test_nothing_of_nothing():
    empty = torch.empty(0, 3, 4, device=DEVICE)
    assert consistency_weight(empty[:, 0], normalize=True).shape == (0,)
    assert positional_reward(empty, empty[:, :1]).shape == iou(empty, empty).shape == (0, 3)
    assert group_agreement(empty).shape == (0, 3)
    assert oriented_iou(torch.empty(0, 5, device=DEVICE), torch.empty(5, device=DEVICE)).shape == (0,)


def test_the_kernels_are_taken_for_float32_and_halves_without_a_gradient():
    box = torch.rand(4, device=DEVICE)
    assert in_kernels(box, box.half(), box.bfloat16())
    assert not in_kernels(box, box.double())
    assert not in_kernels(box.long())
    assert not in_kernels(box, box.clone().requires_grad_())
    with torch.no_grad():
        assert in_kernels(box, box.clone().requires_grad_())
    assert not in_kernels(box, box.to("meta"))


class Unlaunchable:
    def __getitem__(self, grid):
        raise RuntimeError("Failed to find C compiler")


@pytest.fixture
def untried():
    """As in a process that has not launched a kernel yet."""
    triton.runs_on.cache_clear()
    yield
    triton.runs_on.cache_clear()


def test_where_triton_does_not_run_the_plain_formulas_are_taken_and_a_warning_says_why(monkeypatch, untried):
    monkeypatch.setattr("rsreward.fast.triton.paired.paired_kernel", Unlaunchable())
    pred, target = near_pairs(20)
    with FakeTensorMode():  # where nothing is launched, so nothing can be told
        iou(torch.rand(3, 4, device=DEVICE), torch.rand(3, 4, device=DEVICE))
    with pytest.warns(UserWarning, match=f"kernels on {DEVICE}.*slower. RuntimeError: Failed to find C compiler"):
        reward = positional_reward(pred, target)
    close(reward, positional_reward(pred.double(), target.double()))
    assert not in_kernels(pred, target)  # said once


def test_a_triton_that_cannot_be_imported_is_one_that_does_not_run(monkeypatch, untried):
    monkeypatch.setitem(sys.modules, "rsreward.fast.triton.paired", None)
    with pytest.warns(UserWarning, match=f"cannot run kernels on {DEVICE}.*rsreward.fast.triton.paired"):
        assert iou(*near_pairs(20)).shape == (20,)


def test_what_is_recorded_does_not_hold_the_first_try(untried):
    graph = make_fx(iou)(*near_pairs(5)).graph
    assert [node.target for node in graph.nodes if node.op == "call_function"] == [torch.ops.rsreward.paired.default]


def test_derivatives_are_those_of_the_plain_path():
    pred, target = near_pairs(50)
    ways = {
        "backward": lambda p: torch.autograd.functional.vjp(lambda x: iou(x, target.to(x)), p, torch.ones(50).to(p))[1],
        "forward": lambda p: torch.func.jvp(lambda x: iou(x, target.to(x)), (p,), (torch.ones_like(p),))[1],
        "of each": lambda p: torch.func.vmap(torch.func.grad(iou))(p, target.to(p)),
    }
    for way in ways.values():
        torch.testing.assert_close(way(pred), way(pred.double()).float(), rtol=1e-3, atol=1e-5)


def test_errors_are_those_of_the_plain_path():
    four, five = torch.zeros(3, 4, device=DEVICE), torch.zeros(2, 5, device=DEVICE)
    for wrong in (
        lambda p, t: iou(p[:, :3], t),
        lambda p, t: iou(p, t[:2]),
        lambda p, t: positional_reward(p, five),
        lambda p, t: positional_reward(p, t, alpha=0.0),
        lambda p, t: positional_reward(p, t, proximity="centre"),
        lambda p, t: oriented_iou(p, five),
        lambda p, t: consistency_weight(p[:, :0]),
        lambda p, t: consistency_weight(p, clip=(2.0, 1.0)),
        lambda p, t: group_agreement(p[:, :3]),
    ):
        messages = []
        for dtype in (torch.float32, torch.float64):
            with pytest.raises(ValueError) as caught:  # noqa: PT011
                wrong(four.to(dtype), four.to(dtype))
            messages.append(str(caught.value))
        assert messages[0] == messages[1]


def test_the_operators_are_sound():
    pred, target = near_pairs(40)
    oriented = torch.cat([pred, target[:, :1]], 1)
    for operator, arguments in (
        ("paired", (pred, target[0], True, "center", 2.5, 0.1)),
        ("paired", (pred.half(), target, False, "region", 2.5, 1.0)),
        ("oriented", (oriented, oriented.bfloat16(), "none", 1.0, 0.0)),
        ("group_weight", (pred, 1.2, 1.0, 0.5, 3.0)),
        ("agreement", (pred.view(5, 8, 4).half(),)),
    ):
        torch.library.opcheck(getattr(torch.ops.rsreward, operator).default, arguments)


def test_compiled_code_takes_them_without_a_graph_break():
    def step(pred, target):
        reward = positional_reward(pred, target[:, None]) + group_agreement(pred)
        return reward * consistency_weight(iou(pred, target[:, None]))[:, None] * consistency_weight(reward)[:, None]

    compiled = torch.compile(step, fullgraph=True, backend="inductor" if GPU else "aot_eager", dynamic=True)
    for groups in (4, 9):
        boxes = group_boxes(groups, 5)
        torch.testing.assert_close(compiled(*boxes), step(*boxes), rtol=1e-5 if GPU else 0, atol=1e-5 if GPU else 0)


@pytest.mark.skipif(GPU, reason="there is a GPU, and a test of its own")
def test_rows_more_than_2_31_numbers_apart_are_read_right():
    """The memory is asked for and hardly touched."""
    pred, target = near_pairs(3)
    try:
        far = torch.empty(2**31 + 8).as_strided((3, 4), (2**30, 1))
    except RuntimeError as error:
        pytest.skip(f"no room: {error}")
    far.copy_(pred)
    assert torch.equal(iou(far, target), iou(pred, target))
    planes = far.as_strided((2, 4), (1, 2**30 // 2))
    planes.copy_(pred[:2])
    assert torch.equal(iou(planes, target[:2]), iou(pred[:2], target[:2]))


@only_gpu
def test_more_than_2_31_numbers():
    rows = 2**29 + 3
    if torch.cuda.mem_get_info()[0] < 24e9:
        pytest.skip("less than 24 GB of GPU memory are free")
    pred = torch.rand(1000, 4, device="cuda").sort(-1).values.repeat(rows // 1000 + 1, 1)[:rows]
    reward = positional_reward(pred, pred[0])
    assert torch.equal(reward[-703:], positional_reward(pred[-703:].clone(), pred[0]))
    del pred, reward
    box = torch.tensor([1.0, 1, 3, 3], device="cuda", dtype=torch.float16)
    many = iou(box.expand(2**31 + 5, 4), box)
    assert many.min() == 1


@only_gpu
def test_the_host_never_waits():
    pred, target = group_boxes(50, 8)
    oriented = torch.cat([pred, pred[..., :1]], -1)

    def everything():
        for form in FORMS:
            positional_reward(pred, target[:, None], proximity=form)
            positional_reward(oriented, oriented[:, :1], proximity=form)
        consistency_weight(iou(pred, target[:, None]), normalize=True)
        group_agreement(pred)

    everything()
    torch.cuda.set_sync_debug_mode("error")
    try:
        everything()
    finally:
        torch.cuda.set_sync_debug_mode("default")
