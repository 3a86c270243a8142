"""`rsreward report`: what a run of sft, grpo or evaluate left in its folder, as one self-contained page."""

import json
from pathlib import Path
from typing import Any

from PIL import Image

from ..errors import InputError
from ..files import read_file, regular_file, write_whole
from . import render
from .charts import curves
from .pictures import png

PANELS = {
    "loss": "loss",
    "reward": "reward",
    "IoU of rollouts": "positional_reward/iou",
    "format reward": "rewards/format_reward/mean",
    "mean weight": "consistency/weight_mean",
    "variance of IoU in a group": "consistency/iou_var",
    "share of answers read": "positional_reward/parse_rate",
    "length of completions": "completions/mean_length",
    "token accuracy": "mean_token_accuracy",
}
PICTURES = 8


def write_run_report(run: Path) -> Path:
    """Write `report.html` into the folder of a run.

    Raises:
        InputError: if the folder holds no run.
    """
    plan, history, results = (_read(run / f"{name}.json") for name in ("plan", "history", "results"))
    if plan is None and results is None:
        raise InputError(f"{run} holds neither plan.json nor results.json: give the folder of sft, grpo or evaluate.")
    if isinstance(results, dict) and results.keys() >= {"start", "sft", "settings"}:
        raise InputError(f"{run} is a run of `rsreward demo`, whose page is {run / 'report.html'}.")
    if results is not None and not (
        isinstance(results, dict) and results.keys() >= {"metrics", "conventions", "asked"}
    ):
        raise InputError(f"{run / 'results.json'} is not what `rsreward evaluate` writes: give the folder of a run.")
    points = {
        title: [(entry["step"], float(entry[key])) for entry in history or () if entry.get(key) is not None]
        for title, key in PANELS.items()
    }
    pictures = sorted((run / "gallery").glob("step_*.png"))
    step = max(1, -(-len(pictures) // PICTURES))
    page = render(
        "run",
        run=run.name,
        plan=_lines(plan or {}),
        curves=curves({title: of for title, of in points.items() if of}),
        pictures={
            path.stem.replace("_", " "): png(Image.open(regular_file(path))) for path in pictures[::-1][::step][::-1]
        },
        **_tables(results) if results else {},
    )
    path = run / "report.html"
    write_whole(path, page)
    return path


def _read(path: Path) -> Any:
    try:
        content = read_file(path)
    except FileNotFoundError:
        return None
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read: {error}.") from None


def _tables(results: dict[str, Any]) -> dict[str, Any]:
    """What the template says of answers."""
    intervals = results["group_intervals"]
    return {
        "conventions": {"plain": results} | results["conventions"],
        "groups": {name: {"metrics": of, "intervals": intervals[name]} for name, of in results["groups"].items()},
        "pass_at": results["pass@k at IoU 0.5"],
        "asked": _lines(results["asked"] | {name: results[name] for name in ("read_in", "versions", "commit")}),
    }


def _lines(plan: dict[str, Any]) -> dict[str, str]:
    """The plan's values as texts, nested ones in one line."""
    return {name.replace("_", " "): _line(value) for name, value in plan.items()}


def _line(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k} {v}" for k, v in value.items() if v is not None)
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
