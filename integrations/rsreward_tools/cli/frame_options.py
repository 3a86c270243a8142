"""The options that tell the frame of reference, for all commands that read answers."""

from typing import Annotated

import typer

MinPixels = Annotated[int | None, typer.Option(help="Least pixels of a resized image, if not the family's own.")]
MaxPixels = Annotated[int | None, typer.Option(help="Most pixels of a resized image, if not the family's own.")]
Five = Annotated[str | None, typer.Option(help="What five numbers are: corners-cw, corners-ccw or le90.")]
Order = Annotated[str | None, typer.Option(help="The order of the axes in the completions: xy or yx.")]
ThinkInPrompt = Annotated[
    bool | None,
    typer.Option("--think-in-prompt/--no-think-in-prompt", help="The chat template opens the thought in the prompt."),
]
ImageSize = Annotated[str | None, typer.Option(metavar="WxH", help="Of the images of rows without width and height.")]
TargetSpace = Annotated[str | None, typer.Option(help="The coordinate space of the targets, if not pixels.")]
TargetFormat = Annotated[
    str | None, typer.Option(help="What targets are: xyxy, xywh, cxcywh, quad, oriented or oriented-degrees.")
]
Hull = Annotated[bool, typer.Option("--hull", help="Score the bounding boxes of turned answers.")]
