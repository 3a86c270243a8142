"""The recipe's own arguments, beside those of TRL's trainers, and the short help of `sft` and `grpo`."""

from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from textwrap import wrap
from typing import Any

from rsreward_tools.errors import InputError

CONFIGS = Path(__file__).parent / "configs"


def _told(help: str, default: Any = MISSING) -> Any:
    return field(metadata={"help": help}) if default is MISSING else field(default=default, metadata={"help": help})


@dataclass(kw_only=True)
class FrameArguments:
    """The frame of reference that a model answers in. An argument that is left out is the model's own."""

    space: str = _told("Coordinate space, if not the model's own.", "")
    min_pixels: int | None = _told("Least pixels of an image; the processor is set to it.", None)
    max_pixels: int | None = _told("Most pixels of an image; the processor is set to it.", None)
    five: str = _told("What five numbers are: corners-cw, corners-ccw or le90.", "")
    order: str = _told("Order of the axes: xy or yx.", "")
    think_in_prompt: bool = _told("The chat template opens <think>; usually found out.", False)

    def __post_init__(self) -> None:
        low, high = self.min_pixels, self.max_pixels
        if any(bound is not None and bound < 1 for bound in (low, high)) or (low and high and low > high):
            raise InputError(f"min_pixels and max_pixels must be positive and in this order, got {low} and {high}.")


@dataclass(kw_only=True)
class DataArguments(FrameArguments):
    """The arguments of both stages."""

    data: str = _told("Parquet file: sft's of `rsreward cot`, grpo's of `data`.")
    images: str = _told("The root folder of the data set.")
    template: str = _told("What the user says, with {query}. If empty, the model's own.", "")
    share: float = _told("Share of the examples to use.", 1.0)
    dry_run: bool = _told("Print the resolved plan and stop.", False)


@dataclass(kw_only=True)
class RewardArguments:
    """The arguments of GRPO."""

    reward: str = _told("Reward of a box: positional, or iou alone for a control.", "positional")
    alpha: float = _told("Width of the reward's Gaussian.", 2.5)
    position_weight: float = _told("The positional reward's beta.", 0.1)
    proximity: str = _told("center, region, keypoints or wasserstein.", "center")
    graded_format: bool = _told("Part credit for the form, for a cold start.", False)
    consistency: bool = _told("Weight groups by their spatial consistency.", True)
    lambda_mean: float = _told("Weight of hard groups.", 1.2)
    lambda_var: float = _told("Weight of incoherent groups.", 1.0)
    normalize_weight: bool = _told("Divide the weights by their mean.", False)
    gallery_steps: int = _told("Steps between pictures; 0 for none.", 50)


# For each stage: its description, the configuration of TRL's trainer, the recipe's own arguments.
STAGES: dict[str, tuple[str, str, tuple[type, ...]]] = {
    "sft": ("Supervised fine-tuning on reasoning chains.", "SFTConfig", (DataArguments,)),
    "grpo": (
        "GRPO with the positional reward and the consistency weight.", "GRPOConfig", (DataArguments, RewardArguments),
    ),
}  # fmt: skip
EXAMPLES = {
    "sft": (
        "rsreward sft --config sft_lora.yaml --data data/cot/cot.parquet",
        "--images ~/DIOR-RSVG --output_dir runs/sft --dry_run",
    ),
    "grpo": (
        "rsreward grpo --config grpo_lora.yaml --model_name_or_path runs/sft",
        "--data data/dior_rsvg/train.parquet --images ~/DIOR-RSVG",
        "--output_dir runs/grpo --dry_run",
    ),
}


def packaged(config: str) -> str:
    """The path of a configuration file. For files of this package the name is enough."""
    ours = CONFIGS / Path(config).name
    return str(ours) if not Path(config).exists() and config == ours.name and ours.is_file() else config


def configs(stage: str = "") -> list[str]:
    """The names of this package's configuration files, for one stage or both."""
    return sorted(path.name for name in STAGES if name.startswith(stage) for path in CONFIGS.glob(f"{name}_*.yaml"))


def short_help(stage: str) -> str:
    """The help on the recipe's own arguments; `--help_all` shows TRL's too."""
    title, config, parts = STAGES[stage]
    own = [
        ("config", f"A YAML file, such as {', '.join(configs(stage))}."),
        ("model_name_or_path", "The model to start from: a folder or a name."),
        ("output_dir", "The folder of the run. The same command again continues it."),
    ]
    for argument in sorted((f for part in parts for f in fields(part)), key=lambda f: f.default is not MISSING):
        shown = argument.default not in (MISSING, "", None, False)
        default = f" Default: {str(argument.default).lower()}." if shown else ""
        own.append((argument.name, argument.metadata["help"] + default))
    lines = [title, "", "Example:", "  " + " \\\n      ".join(EXAMPLES[stage]), ""]
    for name, text in own:
        first, *rest = wrap(text, 56)
        lines += [f"  --{name:<19} {first}", *(" " * 24 + line for line in rest)]
    more = f"The arguments of TRL's {config} and ModelConfig are taken too, here and in the YAML file: `--help_all`."
    return "\n".join([*lines, "", *wrap(more, 80)])
