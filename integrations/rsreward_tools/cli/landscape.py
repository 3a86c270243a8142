"""The command `rsreward landscape`."""

from pathlib import Path
from typing import Annotated

import typer

from ..errors import InputError
from .terminal import console

PICTURES, DATA = (".png", ".svg"), (".csv", ".parquet")
PROXIMITIES = ("center", "region", "keypoints", "wasserstein")
NAMES = ("iou", "giou", "diou", "positional")
MOST = 12  # panels of one picture


def landscape(
    out: Annotated[list[Path], typer.Option(help="A picture (.png, .svg) or its data (.csv, .parquet); repeatable.")],
    reward: Annotated[
        list[str] | None, typer.Option(help=f"One of {', '.join(NAMES)}; repeatable. All of them.")
    ] = None,
    alpha: Annotated[list[float] | None, typer.Option(help="Of the positional reward's Gaussian; repeatable.")] = None,
    beta: Annotated[list[float] | None, typer.Option(help="Of the positional reward; repeatable.")] = None,
    proximity: Annotated[list[str] | None, typer.Option(help=f"One of {', '.join(PROXIMITIES)}; repeatable.")] = None,
    target: Annotated[str, typer.Option(help="The true box x1,y1,x2,y2 in pixels.")] = "480,260,560,300",
    size: Annotated[str, typer.Option(help="Width and height of the image in pixels, as WxH.")] = "800x600",
) -> None:
    """Draw what rewards pay as a predicted box of the true size is moved over the image, side by side.

    Example: `rsreward landscape --reward iou --reward positional --alpha 1 --alpha 2.5 --out landscape.png`
    """
    import torch

    from ..files import file_to_write
    from ..pages.landscape import REWARDS, Reward, flat, positional_rewards, write_data, write_picture
    from ..pages.landscape import landscape as landscape_of

    for name in reward or []:
        if name not in NAMES:
            raise InputError(f"--reward must be one of {', '.join(NAMES)}, got {name}.")
    width, height = _numbers("--size", size, "x", 2)
    box = _numbers("--target", target, ",", 4)
    if width < 1 or height < 1 or width % 1 or height % 1:
        raise InputError(f"--size must be two whole numbers of pixels, such as 800x600, got {size}.")
    if not (0 <= box[0] < box[2] <= width and 0 <= box[1] < box[3] <= height):
        raise InputError(f"--target must be x1,y1,x2,y2 with x1 < x2 and y1 < y2 within the image, got {target}.")
    for path in out:
        if path.suffix.lower() not in PICTURES + DATA:
            raise InputError(f"--out {path} must end in {', '.join(PICTURES + DATA)}.")
        file_to_write("--out", path)
    rewards: dict[str, Reward] = {}
    for name in dict.fromkeys(reward or NAMES):
        if name in REWARDS:
            rewards[name] = REWARDS[name]
            continue
        try:
            rewards |= positional_rewards(alpha or [2.5], beta or [0.1], proximity or ["center"])  # type: ignore[arg-type]
        except ValueError as error:
            raise InputError(str(error)) from None
    if len(rewards) > MOST:
        raise InputError(f"at most {MOST} rewards fit a picture, got {len(rewards)}: leave some options out.")
    plane = landscape_of(torch.tensor(box), int(width), int(height), rewards)
    for path in out:
        (write_picture if path.suffix.lower() in PICTURES else write_data)(plane, path)
    for label, values in plane.values.items():
        low, high = values.min().item(), values.max().item()
        console.print(
            f"{label}: {low:.3f} to {high:.3f}, flat on {100 * flat(values).float().mean():.0f} % of the image"
        )
    console.print(f"-> {', '.join(map(str, out))}")


def _numbers(option: str, text: str, between: str, count: int) -> list[float]:
    """Numbers of an option.

    Raises:
        InputError: if they are not as many finite numbers as needed.
    """
    try:
        numbers = [float(part) for part in text.lower().split(between)]
    except ValueError:
        numbers = []
    if len(numbers) != count or not all(abs(number) < 1e6 for number in numbers):
        raise InputError(f"{option} must be {count} numbers with {between!r} between them, got {text}.")
    return numbers
