"""Which part of a completion is its answer: no thought, no call of a tool, nothing around the `<answer>` element.

Tags as most models write them are found by `str.rfind`. Only where another `<` is left over are tags in other spellings
rewritten into the usual ones and calls of tools cut out, and the same search is made again.
"""

import re

# <think>, < / Think >, <\/think>, <reasoning lang="en">, </think without an end, <|end_of_thought|>, &lt;think&gt;,
# ◁/think▷, [THINK], and <|channel|>final<|message|>, which closes the thought before it.
_TAG = re.compile(
    r"(?:[<＜◁]|&lt;)(?=\D)\|?+\s*+(?P<close>\\?+/|end_of_)?+\s*+(?:begin_of_|seed:)?+"
    r"(?i:(?P<thought>think(?:ing)?+|thoughts?+|reason(?:ing)?+|analysis|rationale|reflection|scratchpad)"
    r"|(?:final[ _-]?+)?+answer|conclusion|solution)(?![\w-])"
    r"""(?:\s++[\w-]++\s*+=\s*+"[^"<>]*+")*+\s*+\|?+(?(close)(?:[>＞▷]|&gt;)?+|(?:[>＞▷]|&gt;))"""
    r"|(?P<other>\[/?+THINK\]|<\|channel\|>(?:analysis|final)<\|message\|>)"
)
# <tool_call>{"bbox_2d": [1, 2, 3, 4]}</tool_call>, <tool_response>...; one that never closes reaches to the end.
# Where the call is a click on a screen, its "coordinate" is the answer.
_TOOL = re.compile(
    r"</\s*+(?i:tool|function)[^<>]*+>|<\|?+\s*+(?i:tool|function)[^<>]*+>"
    r"[^<]*+(?:<(?!/\s*+(?i:tool|function)|\|(?i:tool|function)\w*_end)[^<]*+)*+(?:<[^<>]*+>)?+"
)
# "Thought: ", "**Reasoning:** ", 思考过程：
_THOUGHT_WORD = re.compile(
    r"[\s*#]{0,20}+(?i:thoughts?|thinking|reasoning|rationale|analysis|思考(?:过程)?+)\**+\s*+[:：]"
)
# "Answer: ", "**Final answer:**", "the final answer is", a heading "### Answer", 【答案】, 答案：
_ANSWER_WORD = re.compile(
    r"""(?<![\w"'])(?:(?i:final\s++answer)|Answer|ANSWER)\**+(?:\s*+[:：]|\s++is\b:?+)\**+"""
    r"|^[\s*#]*+(?i:(?:final\s++)?answer)\**+(?:[ \t]*+[:：]|[ \t]*+$)\**+"
    r"|【(?:最终)?答案】[:：]?+|答案\s*+[:：是为]++",
    re.MULTILINE,
)
# Where a tag that is not a usual one may begin, or the call of a tool: < think, </reason, <|end_of_thought, <tool_call
_other_tag = re.compile(
    r"<(?:[\s\\A-Zrcfs]|t(?!hink>)|a(?!nswer>)|/(?:[\s\\A-Zrcfs]|t(?!hink>)|a(?!nswer>))"
    r"|\|(?:tool|function|channel|end_of_t|begin_of_t))"
).search


def answer_region(text: str, think_in_prompt: bool = False, usual: bool = False) -> tuple[str, list[str]]:
    """The part of a completion that is its answer, and what is wrong with its frame.

    usual: its tags are known to be the usual ones.
    """
    if think_in_prompt:
        text = "<think>" + text
    thought = text.rfind("</think>")
    rest = text[thought + len("</think>") :] if thought >= 0 else text
    signs = rest.count("<")
    known = 0
    closing = rest.rfind("</answer>") if signs else -1
    opening = rest.rfind("<answer>", 0, closing) if closing >= 0 else -1
    if opening >= 0:
        known = 2
        if signs > 2 and "</answer>" in rest[opening:closing]:
            closing = rest.find("</answer>", opening)  # the first after it
    elif signs:
        closing, opening = -1, rest.rfind("<answer>")
        known = int(opening >= 0)
    other = signs > known and (signs > 100 or _other_tag(rest))
    odd = not rest.isascii() or "&" in rest or "K" in rest  # in less time than the next
    if (other or odd) and not usual and _has_other_tags(rest, signs, known, odd):
        return answer_region(_TOOL.sub(_click, _TAG.sub(_usual_tag, rest)), usual=True)
    thinks = signs > known and "<think>" in rest
    if opening < 0:
        region = "" if thinks else _after_words(rest.strip())
        return (region, []) if region else ("", ["no-answer"])
    if closing >= 0:
        region = rest[opening + len("<answer>") : closing]
        problems = ["trailing-text"] if rest[closing + len("</answer>") :].strip() else []
    else:
        region = rest[opening + len("<answer>") :]
        problems = ["answer-unclosed"] if region.strip() else ["answer-unclosed", "no-answer"]
    if thinks:
        problems.append("after-think-unclosed")
        region = region.partition("<think>")[0]
    return region, problems


def _has_other_tags(text: str, signs: int, known: int, odd: bool) -> bool:
    """Whether of so many "<" one may begin a tag that is not a usual one, or the call of a tool, beside known tags."""
    if signs > 100:  # two looks that take less time than the pattern
        known = sum(map(text.count, ("<answer>", "</answer>", "<think>")))
        signs *= any(letter in text for letter in "nNoO")  # one of them stands in every name
    if signs > known and _other_tag(text):
        return True
    return odd and _has_odd_sign(text)


def may_hold_tags(text: str) -> bool:
    """Whether a tag of any spelling may stand in it."""
    return "<" in text or _has_odd_sign(text)


def _has_odd_sign(text: str) -> bool:
    """Whether a tag without a plain "<" may stand in it."""
    return "&lt;" in text or "THINK]" in text or "◁" in text or "＜" in text


def _usual_tag(match: re.Match[str]) -> str:
    other = match["other"]
    name = "think" if match["thought"] or other else "answer"
    closes = match["close"] or (other and ("/" in other or "final" in other))
    return f"</{name}>" if closes else f"<{name}>"


def _click(call: re.Match[str]) -> str:
    return call.group() if '"coordinate"' in call.group() else ""


def _after_words(text: str) -> str:
    """What follows the last "Answer:"; nothing of a text that begins with "Thought:" and has none."""
    if ("w" in text and "nswer" in text) or ("W" in text and "NSWER" in text) or "答案" in text:
        ends = [match.end() for match in _ANSWER_WORD.finditer(text)]
        if ends:
            return text[ends[-1] :].strip()
    if text[:1] in "tTrRaA*#思" and _THOUGHT_WORD.match(text):
        return text.partition("<tool_call>")[2]  # only a click is left there
    return text
