"""The card of a trained model: how it was trained, how it answers, and what it is worth where that was measured."""

import re
from pathlib import Path
from typing import Any

from rsreward_tools.cards import CARD, card, own_card, table, write_card

from .model.trained import plan_of

TITLES = {"sft": "supervised fine-tuning on reasoning chains", "grpo": "GRPO with rewards for the box and the form"}
VERSIONS = "## Versions"


def model_card(plan: dict[str, Any], name: str) -> str:
    """The text of `README.md` in the folder of a model.

    Args:
        plan: what `plan.json` holds.
        name: of the model.
    """
    base, recipe, space = plan["model"], plan["recipe"], plan["space"]
    head = {
        "model_name": name,
        "base_model": _origin(base),
        "library_name": "transformers",
        "pipeline_tag": "image-text-to-text",
        "tags": ["rsreward", "remote-sensing", "visual-grounding", plan["stage"], "trl"],
    }
    data = "/".join(Path(recipe["data"]).parts[-2:])
    told = {name: value for name, value in recipe.items() if name not in ("data", "images")}
    told |= {"lora": plan["lora"], "learning_rate": plan["learning_rate"], "seed": plan["seed"]}
    return card(
        head,
        f"# {name}",
        f"`{base}` after {TITLES[plan['stage']]}: {plan['steps']:,} steps on {plan['examples']:,} examples of "
        f"`{data}`. It finds the object that a sentence means in an aerial or satellite image. Written by "
        f"`rsreward {plan['stage']}`.",
        "## Licence",
        "Not stated. The licences of the base model and of the data hold. Write it here, and as `license` in the head, "
        "before you publish this.",
        "## How it answers",
        "Its frame of reference, as `rsreward score --space` and `plan.json` have it:",
        table(["", ""], [[f"`{key}`", f"`{value}`"] for key, value in _frame(space, plan).items()]),
        "What the user says, with the expression for `{query}`:",
        f"```text\n{plan['template']}\n```",
        "## How it was trained",
        table(["", ""], [[f"`{key}`", f"`{value}`"] for key, value in told.items()]),
        _paper(plan),
        "## Metrics",
        "By `rsreward evaluate`, with 95 % bootstrap intervals over questions. If none follow, it was not evaluated.",
        VERSIONS,
        ", ".join(f"{package} {version}" for package, version in plan["versions"].items()),
    )


def _origin(model: str) -> str | None:
    """The name of the model that a chain of runs started from; None where it is a folder."""
    seen: set[str] = set()
    while model not in seen and (plan := plan_of(model)):
        seen.add(model)
        model = str(plan.get("model", model))
    return None if Path(model).exists() else model


def _frame(space: dict[str, Any], plan: dict[str, Any]) -> dict[str, Any]:
    shown = ("name", "scale", "min_pixels", "max_pixels", "five", "order")
    return {name: space[name] for name in shown} | {"think_in_prompt": plan["think_in_prompt"]}


def _paper(plan: dict[str, Any]) -> str:
    if plan["stage"] != "grpo":
        return ""
    other = "; ".join(f"`{name}` {what}" for name, what in plan["other_than_in_the_paper"].items()) or "nothing"
    return f"Other than in RSGround-R1's paper, of what it publishes: {other}."


def add_metrics(model: str, data: Path, results: dict[str, Any]) -> str:
    """Put the metrics of an evaluation into the card of the model that was evaluated. Those of the same data go.

    Returns:
        A sentence where there is a card that was changed by hand; else nothing.
    """
    folder = Path(model)
    if not plan_of(model) or not (folder / CARD).exists():
        return ""
    text = own_card(folder)
    name = "/".join(data.resolve().parts[-2:])
    block = f"<!-- evaluation {name} -->\n{_metrics(name, results)}\n<!-- /evaluation -->\n\n"
    if text is not None:
        text = re.sub(rf"<!-- evaluation {re.escape(name)} -->\n.*?<!-- /evaluation -->\n\n", "", text, flags=re.DOTALL)
        before, versions, after = text.rpartition(VERSIONS)
        text = before + block + versions + after
    return write_card(folder, text or "")


def _metrics(name: str, results: dict[str, Any]) -> str:
    asked, metrics = results["asked"], results["metrics"]
    sampled = f"{asked['samples']} answers a question at temperature {asked['temperature']}"
    how = sampled if asked["temperature"] else "greedy"
    lines = []
    for metric, value in metrics.items():
        if metric != "rows":
            low, high = results["intervals"][metric]
            lines.append([metric.replace("_", " "), f"{value:.4f}", f"{low:.4f} to {high:.4f}"])
    lines += [[f"pass@{k} at IoU 0.5", f"{share:.4f}", ""] for k, share in results["pass@k at IoU 0.5"].items()]
    return f"**{name}**: {metrics['rows']:,} answers, {how}, convention `plain`.\n\n" + table(
        ["metric", "value", "95 % interval"], lines
    )
