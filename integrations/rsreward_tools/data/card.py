"""The card of a prepared data set: where it comes from, what it holds, and what was dropped and why."""

from typing import Any

from ..cards import card, table

SHOWN = 12  # reasons


def data_card(report: dict[str, Any], home: str | None = None) -> str:
    """The text of `README.md`.

    Args:
        report: of `prepare` or `prepare_own`.
        home: where a published data set is described.
    """
    name, splits = report["dataset"], report["splits"]
    files = [{"split": split, "path": f"{split}.parquet"} for split in splits]
    head = {
        "pretty_name": name,
        "task_categories": ["image-text-to-text"],
        "tags": ["rsreward", "remote-sensing", "visual-grounding"],
        "configs": [{"config_name": "default", "data_files": files}],
    }
    read = (
        f"The source was read as `{report['target_format']}` in the space `{report['target_space']}`."
        if "target_format" in report
        else f"Read in this order: {report['order']}."
    )
    return card(
        head,
        f"# {name}",
        "Questions about aerial and satellite images, each with the box or the boxes that answer it. Written by "
        "`rsreward data prepare`.",
        "## Source",
        f"[{name}]({home})" if home else f"One's own files: `{report['source']}`.",
        "The images are not in this folder. The column `image` holds their paths below the root folder of the images.",
        "## Licence",
        "Not known to rsreward. The licence of the source holds. Write it here, and as `license` in the head, before "
        "you publish this.",
        "## Splits",
        table(["split", "questions", "images", "boxes"], [[split, *of.values()] for split, of in splits.items()]),
        *(
            f"`{split}` holds {found:,} questions; {published:,} are published."
            for split, (found, published) in report.get("differs_from_published", {}).items()
        ),
        "## Frame",
        "`boxes` are `[x1, y1, x2, y2]` in pixels of the upright original image, x to the right and y down. "
        f"`oriented`, where known, is `[cx, cy, w, h, angle]`, in radians from +x towards +y. {read}",
        "## Dropped and repaired",
        _reasons(report),
        f"{report['images_without_file']:,} of {report['images']:,} images had no file."
        if report["images_without_file"]
        else "",
        *report.get("notes", ()),
    )


def _reasons(report: dict[str, Any]) -> str:
    lines = [[what, "repaired" if repaired else "dropped", count] for what, repaired, count in report["reasons"]]
    if not lines:
        return "Nothing."
    rest = f"\n\n{len(lines) - SHOWN} more reasons are in `report.json`." if len(lines) > SHOWN else ""
    return table(["what", "and so it was", "times"], lines[:SHOWN]) + rest
