"""A look inside GRPO: every few steps, some groups of rollouts as a picture."""

import json
from collections.abc import Sequence
from pathlib import Path
from textwrap import wrap
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw
from rsreward_tools.files import write_whole, writing
from transformers import TrainerCallback

from rsreward import consistency_weight, group_statistics

TILE, CAPTION, GROUPS = 384, 84, 4
TRUE = "#ffffff"


class RolloutGallery(TrainerCallback):
    """Writes `gallery/step_00050.png`, and its content as JSON beside it, at every `every`-th step.

    Each tile is a question: the true box white, the group's boxes from red (IoU 0) to green (1), with the mean and the
    variance of their IoU and the weight. TensorBoard, wandb and trackio get the picture if the trainer reports there.

    Raises:
        TypeError: if the trainer does not keep its rollouts where TRL 1.x does.
    """

    def __init__(self, trainer: Any, every: int, weights: dict[str, Any]) -> None:
        if not {"images", "prompt", "completion", "extra"} <= set(getattr(trainer, "_logs", ())):
            raise TypeError("the gallery reads GRPOTrainer._logs, which this TRL does not have: use trl 1.x.")
        self.trainer, self.every, self.weights = trainer, every, weights

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.is_world_process_zero and state.global_step % self.every == 0:
            groups = self._groups(args.num_generations)
            folder = Path(args.output_dir) / "gallery"
            folder.mkdir(exist_ok=True)
            picture = _sheet(groups)
            path = folder / f"step_{state.global_step:05}.png"
            with writing(path) as part:
                picture.save(part, "PNG")
            shown = [{name: value for name, value in group.items() if name != "image"} for group in groups]
            write_whole(path.with_suffix(".json"), json.dumps(shown, indent=1) + "\n")
            self._publish(picture, args.report_to, state.global_step)

    def _groups(self, size: int) -> list[dict[str, Any]]:
        logs = self.trainer._logs
        columns = {name: list(logs["extra"].get(f"positional_reward/{name}", ())) for name in ("box", "target", "iou")}
        images, prompts, completions = (list(logs[name]) for name in ("images", "prompt", "completion"))
        groups = []
        for start in range(0, min(len(columns["iou"]), GROUPS * size), size):
            ious = torch.tensor(columns["iou"][start : start + size])
            mean, var = group_statistics(ious)
            groups.append(
                {
                    "image": images[start][0] if start < len(images) and images[start] else None,
                    "query": _text(prompts[start]),
                    "target": columns["target"][start],
                    "boxes": columns["box"][start : start + size],
                    "ious": [round(v, 4) for v in ious.tolist()],
                    "mean": mean.item(),
                    "var": var.item(),
                    "weight": consistency_weight(ious, **self.weights).item(),
                    "completions": [_text(c) for c in completions[start : start + size]],
                }
            )
        return groups

    def _publish(self, picture: Image.Image, report_to: Sequence[str], step: int) -> None:
        for callback in self.trainer.callback_handler.callbacks:
            if getattr(callback, "tb_writer", None) is not None:
                callback.tb_writer.add_image("rollouts", np.asarray(picture), step, dataformats="HWC")
        if "wandb" in report_to:
            import wandb

            wandb.log({"rollouts": wandb.Image(picture)}, commit=False)
        if "trackio" in report_to:
            import trackio

            trackio.log({"rollouts": trackio.Image(picture)}, step=step)


def _text(message: Any) -> str:
    """The text of a prompt or a completion, which TRL logs as text or as messages."""
    if isinstance(message, str):
        return message
    content = message[-1]["content"]
    return content if isinstance(content, str) else "".join(part.get("text") or "" for part in content)


def shade(value: float) -> str:
    """Red for IoU 0, green for 1."""
    return f"#{int(235 * (1 - value) + 20):02x}{int(200 * value + 40):02x}40"


def _sheet(groups: Sequence[dict[str, Any]]) -> Image.Image:
    sheet = Image.new("RGB", (TILE * max(len(groups), 1), TILE + CAPTION), "white")
    for index, group in enumerate(groups):
        sheet.paste(_tile(group), (index * TILE + 2, 2))
        lines = wrap(group["query"], 58)[:3]
        lines.append(f"mean IoU {group['mean']:.2f}, variance {group['var']:.3f}, weight {group['weight']:.2f}")
        ImageDraw.Draw(sheet).multiline_text((index * TILE + 4, TILE), "\n".join(lines), fill="black")
    return sheet


def _tile(group: dict[str, Any]) -> Image.Image:
    side = TILE - 4
    if group["image"] is None:
        return Image.new("RGB", (side, side), "lightgrey")
    image = group["image"].convert("RGB")
    scale = side / max(image.size)
    tile: Image.Image = image.resize((round(image.width * scale), round(image.height * scale)))
    draw = ImageDraw.Draw(tile)
    boxes = [(box, shade(value)) for box, value in zip(group["boxes"], group["ious"], strict=True)]
    for box, colour in [*boxes, (group["target"], TRUE)]:
        if box is not None and len(box) == 4:
            x1, y1, x2, y2 = (min(max(v * scale, -10), side + 10) for v in box)  # PIL is slow outside the picture
            draw.rectangle((min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)), outline=colour, width=2)
    return tile
