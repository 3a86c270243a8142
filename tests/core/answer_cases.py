"""What is read and what is not, as the docs list it: `python tests/core/answer_cases.py` prints the tables."""

# One box, 10, 20, 30, 40, in every dialect.
READ = {
    "json": '{"bbox_2d": [10, 20, 30, 40], "label": "ship"}',
    "fenced-json": '```json [{"bbox_2d": [10, 20, 30, 40]}] ```',
    "list": "<answer>[[10, 20, 30, 40]]</answer>",
    "prose": "The ship is at (10, 20, 30, 40).",
    "corner-pairs": "(10,20),(30,40)",
    "corner-points": "[[10, 20], [30, 20], [30, 40], [10, 40]]",
    "qwen-tokens": "<|box_start|>(10,20),(30,40)<|box_end|>",
    "geochat": "{<10><20><30><40>|<45>}",
    "bins": "<10><20><30><40>",
    "deepseek": "<|ref|>ship<|/ref|><|det|>[[10, 20, 30, 40]]<|/det|>",
    "internvl": "<ref>ship</ref><box>[[10, 20, 30, 40]]</box>",
    "glm": "<|begin_of_box|>[10, 20, 30, 40]<|end_of_box|>",
    "html": '<p data-bbox="10 20 30 40">',
    "point-tag": '<point x="10" y="20">',
    "loc-tokens": "ship<loc_10><loc_20><loc_30><loc_40>",
    "named-keys": '{"x1": 10, "y1": 20, "x2": 30, "y2": 40}',
    "element": "<box>10 20 30 40</box>",
    "token-element": "<|box_start|>10, 20, 30, 40<|box_end|>",
    "string": '{"bbox_2d": "10, 20, 30, 40"}',
    "key": "bbox: 10, 20, 30, 40",
    "boxed": r"\boxed{10, 20, 30, 40}",
    "corner-lists": '{"bbox_2d": [[10, 20], [30, 40]]}',
    "named-corners": "from the top-left (10, 20) to the bottom-right (30, 40)",
    "loose-list": "[10px, 20px, 30px, 40px]",
    "labelled-list": '["ship", 10, 20, 30, 40]',
    "bare": "10, 20, 30, 40",
    "two-lists": "[10, 20], [30, 40]",
}
# By the problem that names why.
NOT_READ = {
    "loose-numbers": "It is 10 by 20 m, seen on 30 June at 40 degrees.",
    "ambiguous-keys": '{"x": 10, "y": 20, "width": 20, "height": 20}',
    "percent": "[10%, 20%, 30%, 40%]",
    "unknown-element": "<click>10, 20, 20, 20</click>",
    "wrong-count": "[10, 20, 30]",
    "truncated": "[10, 20, 30",
    "not-finite": "[10, 20, 30, 1e999]",
    "no-answer": "<think>It is at [10, 20, 30, 40]",
    "no-box": "Sorry, I cannot help.",
}
# More ways to write the box 10, 20, 30, 40.
VARIANTS = [
    "<xmin>10</xmin><ymin>20</ymin><xmax>30</xmax><ymax>40</ymax>", '{"ymin": 20, "xmin": 10, "ymax": 40, "xmax": 30}',
    '{"left": 10, "top": 20, "right": 30, "bottom": 40}', '{"left": 10, "top": 20, "width": 20, "height": 20}',
    '{"cx": 20, "cy": 30, "w": 20, "h": 20}', "x1: 10, y1: 20, x2: 30, y2: 40", "[x1=10, y1=20, x2=30, y2=40]",
    '{"x0": 10, "y0": 20, "x1": 30, "y1": 40}', '{"x_min": "10", "y_min": "20", "x_max": "30", "y_max": "40"}',
    '<object label="ship" x1="10" y1="20" x2="30" y2="40"/>', '{"x": 10, "y": 20, "x2": 30, "y2": 40}',
    "<bbox>10, 20, 30, 40</bbox>", "< BBOX > 10 20 30 40 </ BBOX >", "<bounding_box>10;20;30;40</bounding_box>",
    "<coordinates>10,20,30,40</coordinates>", "<loc0010><loc0020><loc0030><loc0040> ship", r"\boxed{(10, 20, 30, 40)}",
    r"\boxed{\left[10, 20, 30, 40\right]}", r"\[ \left( 10, 20, 30, 40 \right) \]", r"\boxed{10\, 20\, 30\, 40}",
    "['10', '20', '30', '40']", "[10 px, 20 px, 30 px, 40 px]", '{"bbox_2d": "10px, 20px, 30px, 40px"}',
    '"10, 20, 30, 40"', "[１０，２０，３０，４０]", "（10，20），（30，40）", "｛\"bbox\"：［10，20，30，40］｝",
    "【10、20、30、40】",
    "<img bbox='10 20 30 40'>", '{"top_left": [10, 20], "bottom_right": [30, 40]}',
    '{"top_left": {"x": 10, "y": 20}, "bottom_right": {"x": 30, "y": 40}}',
    '{"left_top": [10, 20], "right_bottom": [30, 40]}',
    "upper left: (10, 20), lower right: (30, 40)", "[[10, 20], [30, 40]]", "((10, 20), (30, 40))",
    '[10, 20, 30, 40, "ship"]', "[ship, 10, 20, 30, 40]", "{10, 20, 30, 40}", '{"bbox_2d": 10, 20, 30, 40}',
    "**10, 20, 30, 40**", "10 20 30 40", "{<10.0><20.0><30.0><40.0>}", "<10.0><20><30><40>",
]  # fmt: skip
# No box stands in these, and nothing says that there is none.
NO_BOXES = [
    "It measures 10, 20, 30, 40 metres.", "call 555 123 456 789", '{"label": "10, 20, 30, 40"}', "[10m, 20m, 30m, 40m]",
    '["ship", 0.9, 10, 20, 30, 40]', "0 0.5 0.5 0.1 0.1", '{"cx": 10, "cy": 20, "w": 30, "h": 40, "angle": 5}',
    '<rect x="10" y="20" width="30" height="40"/>', "I have no idea.", "As an AI I cannot see images.", "ship",
    "I am unable to determine the location.", "[x1, y1, x2, y2]", "No image was provided.", "<think>none", "",
    "I'm sorry, but I can't assist with that.", "There are 3 ships.", "<think>a</think><answer>",
]  # fmt: skip
# The answer that there is nothing.
NOTHING = [
    "none", "None.", "No ships.", "There are no ships in the image.", "It does not contain any ships.", "[]", "[[]]",
    '{"bbox_2d": []}', '[{"bbox_2d": null, "label": "ship"}]', "```json\n[]\n```", "N/A", "not found",
    "I cannot find any ship.", "没有", "[0, 0, 0, 0]", "<think>a</think><answer></answer>", "no such object",
    "In the 512 x 512 image of 2019-03-04 there are no ships.",
]  # fmt: skip
# The thought names 1, 2, 3, 4; the answer is 5, 6, 7, 8.
THOUGHTS = [
    "<Thinking>[1,2,3,4]</Thinking>[5,6,7,8]", "<THINK>[1,2,3,4]</THINK>[5,6,7,8]",
    "<thought>[1,2,3,4]</thought>[5,6,7,8]",
    "<analysis>[1,2,3,4]</analysis><Final_Answer>[5,6,7,8]</Final_Answer>", r"<think>[1,2,3,4]<\/think>[5,6,7,8]",
    "<|begin_of_thought|>[1,2,3,4]<|end_of_thought|>[5,6,7,8]", "[THINK][1,2,3,4][/THINK][5,6,7,8]",
    "<|channel|>analysis<|message|>[1,2,3,4]<|end|><|start|>assistant<|channel|>final<|message|>[5,6,7,8]",
    "Thought: [1,2,3,4]. Answer: [5,6,7,8]", "**Reasoning:** [1,2,3,4]\n\n**Final Answer:** [5,6,7,8]",
    "Thinking: [1,2,3,4]\n### Answer\n[5,6,7,8]", "Reasoning: at [1,2,3,4]; the final answer is [5,6,7,8].",
    "思考：[1,2,3,4]\n【答案】[5,6,7,8]", "思考过程：[1,2,3,4]。答案：[5,6,7,8]", "◁think▷[1,2,3,4]◁/think▷[5,6,7,8]",
    "<seed:think>[1,2,3,4]</seed:think>[5,6,7,8]", "&lt;think&gt;[1,2,3,4]&lt;/think&gt;[5,6,7,8]",
    "＜think＞[1,2,3,4]＜/think＞[5,6,7,8]", 'I see [1,2,3,4] <answer type="box">[5,6,7,8]</answer>',
    "< reason >[1,2,3,4]</ reason>[5,6,7,8]", "<think>[1,2,3,4] </think <answer>[5,6,7,8]</answer>",
    '<tool_call>{"bbox_2d":[1,2,3,4]}</tool_call><tool_response>crop [1,2,3,4]</tool_response>[5,6,7,8]',
    "<|tool_call_begin|>{[1,2,3,4]}<|tool_call_end|>[5,6,7,8]",
    "<think>a</think><answer><tool_call>[1,2,3,4]</tool_call>[5,6,7,8]</answer>",
]  # fmt: skip
# All thought, or a call of a tool.
NO_ANSWERS = [
    "<Think> [1,2,3,4]", "◁think▷[1,2,3,4]", "<reasoning>[1,2,3,4]", "Thought: [1,2,3,4] so", "<tool_call>[1,2,3,4]",
    '<think>a</think><tool_call>{"bbox_2d": [1,2,3,4]}</tool_call>', "Thought: it is [1,2,3,4]\nAnswer:",
]  # fmt: skip


def tables() -> str:
    rows = ["| dialect | looks like |", "|---|---|", *_rows(READ), "", "| problem | not read |", "|---|---|"]
    return "\n".join([*rows, *_rows(NOT_READ)])


def _rows(examples: dict[str, str]) -> list[str]:
    return [f"| `{name}` | `{text}` |" for name, text in ((n, t.replace("|", "\\|")) for n, t in examples.items())]


if __name__ == "__main__":
    print(tables())
