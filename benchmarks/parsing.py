"""Microseconds to read one completion of 1.7 k characters, side by side, and milliseconds for hostile text.

python benchmarks/parsing.py            # one thread, interleaved repeats, the least of each
"""

import json
import re
import time
from collections.abc import Callable

from rsreward import parse_answer

THOUGHT = "<think>" + "The object lies in the upper left part of the image, next to the road. " * 22 + "</think>\n"
BOX = '{"bbox_2d": [318, 300, 616, 609], "label": "the tank left of the road"}'
COMPLETIONS = {
    "list": f"{THOUGHT}<answer>[318, 300, 616, 609]</answer>",
    "dict": f"{THOUGHT}<answer>{BOX}</answer>",
    "fenced": f"{THOUGHT}```json\n[\n\t{BOX}\n]\n```",
    "fence in answer": f"{THOUGHT}<answer>\n```json\n[\n\t{BOX}\n]\n```\n</answer>",
    "no JSON": f'{THOUGHT}<answer>["{BOX}"]</answer>',
    "geochat": f"{THOUGHT}<answer>{{<46><91><94><95>|<40>}}</answer>",
    "corner pairs": f"{THOUGHT}<answer><|box_start|>(318,300),(616,609)<|box_end|></answer>",
    "five boxes": f"{THOUGHT}<answer>[{', '.join([BOX] * 5)}]</answer>",
}
HOSTILE = {
    "brackets": "[",
    "tags": "<think><answer>",
    "digits": "9",
    "open lists": "[1,",
    "truncated boxes": "[[1, 2, 3, 4], [1, 2, ",
    "boxes": "[1, 2, 3, 4], ",
    "spaces": " ",
    "open label": ':"a\\" ',
    "bins": "<1>",
    "surrogates": "\ud800[",
    "NUL": "\0[1",
}
ANSWER = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)
FOUR = re.compile(r"\{.*\[(\d+),\s*(\d+),\s*(\d+),\s*(\d+)]\s*.*\}")


def lazy_patterns(text: str) -> list[float]:
    """As the reward functions of public training code read a box."""
    answer = ANSWER.search(text)
    box = FOUR.search(answer.group(1)) if answer else None
    return [float(group) for group in box.groups()] if box else []


def json_loads(text: str) -> list[float]:
    """What only reads an answer that is JSON, and nothing else."""
    answer = text[text.rfind("<answer>") + 8 : text.rfind("</answer>")]
    try:
        read = json.loads(answer)
    except ValueError:
        return []
    return read["bbox_2d"] if isinstance(read, dict) else read


def least_seconds(routes: list[Callable[[], object]], number: int, repeats: int = 25) -> list[float]:
    least = [float("inf")] * len(routes)
    for _ in range(repeats):
        for index, route in enumerate(routes):
            start = time.perf_counter()
            for _ in range(number):
                route()
            least[index] = min(least[index], (time.perf_counter() - start) / number)
    return least


def main() -> None:
    readers = {"rsreward": parse_answer, "lazy patterns": lazy_patterns, "json.loads": json_loads}
    print(f"{'us a completion':18}" + "".join(f"{name:>16}" for name in readers))
    for name, text in COMPLETIONS.items():
        seconds = least_seconds([lambda r=r, t=text: r(t) for r in readers.values()], 400)
        right = [bool(getattr(read := r(text), "boxes", read)) for r in readers.values()]
        print(
            f"{name:18}"
            + "".join(f"{s * 1e6:16.2f}" if ok else f"{'-':>16}" for s, ok in zip(seconds, right, strict=True))
        )
    print(f"\n{'ms, characters':18}" + "".join(f"{kb:>10} k" for kb in (64, 1000, 4000)))
    for name, piece in HOSTILE.items():
        texts = ["[" + piece * (kb * 1000 // len(piece)) for kb in (64, 1000, 4000)]
        seconds = least_seconds([lambda t=text: parse_answer(t) for text in texts], 1, 5)
        print(f"{name:18}" + "".join(f"{s * 1e3:12.2f}" for s in seconds))


if __name__ == "__main__":
    main()
