"""What `rsreward sft` and `rsreward grpo` add to the arguments of TRL's trainers, and their short help."""

from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from textwrap import wrap

CONFIGS = Path(__file__).parent / "configs"
STAGES = {
    "sft": ("Supervised fine-tuning on reasoning chains.", "SFTConfig"),
    "grpo": ("GRPO with the positional reward and the consistency weight.", "GRPOConfig"),
}
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
OF_SFT = ("data", "images", "space", "template", "share", "dry_run")


@dataclass
class RecipeArguments:
    """What the recipe adds to the trainer's arguments and to the model's."""

    data: str = field(metadata={"help": "The Parquet file: of `rsreward cot` for sft, of `rsreward data` for grpo."})
    images: str = field(metadata={"help": "The root folder of the data set."})
    space: str = field(default="", metadata={"help": "Coordinate space; by default the model's own."})
    template: str = field(default="", metadata={"help": "What the user says, with {query} in it; as before if empty."})
    share: float = field(default=1.0, metadata={"help": "Share of the examples to use, chosen by the seed."})
    alpha: float = field(default=2.5, metadata={"help": "Width of the Gaussian of the positional reward."})
    position_weight: float = field(default=0.1, metadata={"help": "The positional reward's beta."})
    proximity: str = field(default="center", metadata={"help": "center, region or keypoints."})
    graded_format: bool = field(default=False, metadata={"help": "Part credit for the form, for a cold start."})
    consistency: bool = field(default=True, metadata={"help": "Weight groups by their spatial consistency."})
    lambda_mean: float = field(default=1.2, metadata={"help": "Weight of hard groups."})
    lambda_var: float = field(default=1.0, metadata={"help": "Weight of incoherent groups."})
    normalize_weight: bool = field(default=False, metadata={"help": "Divide the weights by their mean."})
    gallery_steps: int = field(default=50, metadata={"help": "Steps between pictures of rollouts; 0 for none."})
    dry_run: bool = field(default=False, metadata={"help": "Print the resolved plan and stop."})


def packaged(config: str) -> str:
    """The path of a configuration file; those of this package go by their name alone."""
    ours = CONFIGS / Path(config).name
    return str(ours) if not Path(config).exists() and config == ours.name and ours.is_file() else config


def configs(stage: str = "") -> list[str]:
    """The names of this package's configuration files, of one stage or of both."""
    return sorted(path.name for name in STAGES if name.startswith(stage) for path in CONFIGS.glob(f"{name}_*.yaml"))


def short_help(stage: str) -> str:
    """What the recipe itself takes; TRL's arguments are behind `--help_all`."""
    title, trainer = STAGES[stage]
    own = [
        ("config", f"A YAML file of arguments; by their names alone: {', '.join(configs(stage))}."),
        ("model_name_or_path", "The model to start from, its folder or its name on Hugging Face."),
        ("output_dir", "The folder of the run. The same command again goes on where it stopped."),
    ]
    for argument in fields(RecipeArguments):
        if stage == "grpo" or argument.name in OF_SFT:
            shown = argument.default not in (MISSING, "", False)
            default = f" Default: {str(argument.default).lower()}." if shown else ""
            own.append((argument.name, argument.metadata["help"] + default))
    lines = [title, "", "Example:", "  " + " \\\n      ".join(EXAMPLES[stage]), ""]
    for name, text in own:
        first, *rest = wrap(text, 56)
        lines += [f"  --{name:<19} {first}", *(" " * 24 + line for line in rest)]
    more = f"The arguments of TRL's {trainer} and ModelConfig are taken too, here and in the YAML file: `--help_all`."
    return "\n".join([*lines, "", *wrap(more, 80)])
