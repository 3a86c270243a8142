"""Every block of code in README and docs: Python runs, commands are parsed by the real command line, data are read."""

import ast
import doctest
import inspect
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
import typer
import yaml
from datasets import Dataset
from PIL import Image
from rsreward_qwen_vl.model.tiny import build_model, build_processor, train_tokenizer
from rsreward_qwen_vl.scene_rows import scene_row
from rsreward_tools.cli.main import app
from rsreward_tools.data.example import Example, write_examples

import rsreward

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("README*.md"), ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/*.md")]
PAGES += ROOT.glob("integrations/*/README.md")
NOT_RUN = "# Not run in CI:"  # as the first line of a block, with the reason, for every reader to see
TINY = '"Qwen/Qwen2.5-VL-3B-Instruct"'  # in its place a tiny model of the same class trains for one step
ONE_STEP = "GRPOConfig(max_steps=1, max_completion_length=4, use_cpu=True, bf16=False, report_to='none', "
OTHERS = {"accelerate", "cat", "cd", "echo", "git", "ln", "lmms_eval", "mkdir", "ray", "swift", "trl"}  # not ours
# Of swift, of lmms-eval, and what make hands on in ARGS.
FLAGS_OF_OTHERS = {"--advantage_estimator", "--external_plugins", "--reward_funcs", "--reward_weights", "--max_pixels"}
FLAGS_OF_OTHERS |= {"--scale_rewards", "--model_args", "--tasks", "--docs", "--help_all"}


def name_of(page):
    return str(page.relative_to(ROOT))


def blocks(page, *languages):
    found = re.findall(r"^```(\w+)\n(.*?)^```$", page.read_text(), re.M | re.S)
    return [text for language, text in found if language in languages]


def cases(*languages):
    for page in PAGES:
        for number, text in enumerate(blocks(page, *languages)):
            yield pytest.param(page, text, id=f"{name_of(page)}-{number}")


@pytest.mark.parametrize("page", [p for p in PAGES if ">>>" in p.read_text()], ids=name_of)
def test_examples_give_what_stands_below_them(page):
    result = doctest.testfile(str(page), module_relative=False)
    assert result.attempted > 0
    assert result.failed == 0


PYTHON = {page: [text for text in blocks(page, "python") if ">>>" not in text] for page in PAGES}


@pytest.fixture
def given(page, tmp_path, monkeypatch):
    """What the blocks of a page take as there: names, and files in the current folder."""
    monkeypatch.chdir(tmp_path)
    text, names = "".join(PYTHON[page]), {}
    if TINY in text:
        names["dataset"], names["processor"] = tiny_model(tmp_path)
    if "annotations" in text:
        Image.new("RGB", (64, 48)).save(tmp_path / "a.png")
        names["annotations"] = [(str(tmp_path / "a.png"), "the pier", 1, 2, 30, 40)]
    if "score_file(" in text:
        row = {"completion": "[1, 2, 3, 4]", "target": [1, 2, 3, 4], "width": 9, "height": 9, "log": "a", "prompt": "b"}
        for name in ("one.jsonl", "rollouts.jsonl"):
            (tmp_path / name).write_text(json.dumps(row) + "\n")
    if "read_examples(" in text:
        boat = Example("a.png", 64, 48, "the pier", [[1.0, 2.0, 30.0, 40.0]], None, None, None, "train", "boats", "a")
        (tmp_path / "data" / "boats").mkdir(parents=True)
        write_examples(tmp_path / "data" / "boats" / "train.parquet", [boat])
    if "Tally(" in text:
        names |= vars(rsreward) | {"batches": [(torch.tensor([[0.0, 0, 9, 9]]), torch.tensor([[0.0, 0, 9, 9]]))]}
    if name_of(page) == "CONTRIBUTING.md":
        names |= vars(import_module("rsreward.boxes"))
    return names


def tiny_model(folder):
    row = scene_row(0, 1, 64)
    tokenizer = train_tokenizer([row["prompt"][0]["content"], row.pop("completion")[0]["content"]] * 8, vocab_size=320)
    sizes = {"width": 32, "layers": 1, "vision_width": 32, "vision_layers": 1}
    build_model(tokenizer, "qwen2.5-vl", 64, **sizes).save_pretrained(folder / "tiny")
    return Dataset.from_list([row]), build_processor(tokenizer, "qwen2.5-vl", 64)


def test_the_start_prints_what_it_says(tmp_path):
    page = ROOT / "docs" / "start.md"
    [command] = [text for text in blocks(page, "bash") if "rsreward score" in text]
    [printed] = blocks(page, "text")
    where = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "COLUMNS": "92"}
    done = subprocess.run(
        ["bash", "-ec", command], cwd=tmp_path, env=os.environ | where, capture_output=True, text=True
    )
    lines = [[line.rstrip() for line in text.splitlines() if line.strip()] for text in (done.stdout, printed)]
    assert lines[0] == lines[1], done.stderr


@pytest.mark.parametrize("page", [page for page in PAGES if PYTHON[page]], ids=name_of)
def test_python_runs(page, given):
    for text in PYTHON[page]:
        if text.startswith(NOT_RUN) or "(..., " in text:  # an excerpt
            assert_calls_fit(text, given)
            continue
        if TINY in text:
            text = text.replace(TINY, '"tiny", processing_class=processor').replace("GRPOConfig(", ONE_STEP)
        exec(compile(text, name_of(page), "exec"), given)  # noqa: S102


def assert_calls_fit(text, known=()):
    """Of a block that cannot run: its imports are there, and its calls of what they bring have such arguments."""
    tree, names = ast.parse(text), dict(known)
    imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    exec(compile(ast.Module(imports, []), "imports", "exec"), names)  # noqa: S102
    for call in [node for node in ast.walk(tree) if isinstance(node, ast.Call)]:
        function = names.get(getattr(call.func, "id", None))
        told = {keyword.arg for keyword in call.keywords}
        assert function is None or told <= parameters_of(function), ast.unparse(call)


def parameters_of(function):
    """Those of a function; of a class that passes some on, those of the classes that it stands on too."""
    of = [function, *getattr(function, "__mro__", ())[1:]]
    names = {name for each in of if each is not object for name in inspect.signature(each).parameters}
    if getattr(function, "__name__", "") == "as_reward_func":  # passes the rest on to the reward
        names |= set(inspect.signature(rsreward.positional_reward).parameters)
    return names


def simple_commands(block):
    """The commands of a block, as lists of words."""
    block = re.sub(r"<<'(\w+)'\n.*?^\1$", "", block, flags=re.M | re.S).replace("\\\n", " ")
    for line in block.splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|<>")
        lexer.whitespace_split = True
        lexer.commenters = "#"
        command = []
        for word in [*lexer, ";"]:
            if set(word) <= set(";&|") or word in {"do", "done", "then", "fi"}:
                while command and re.fullmatch(r"\w+=.*", command[0]):
                    del command[0]
                if command:
                    yield command
                command = []
            else:
                command.append(word)


@pytest.mark.parametrize(("page", "text"), list(cases("bash")))
def test_commands_are_those_of_the_command_line(page, text):
    for command in simple_commands(text):
        check_command(command)


def check_command(words):
    head, arguments = words[0], words[1:]
    if head == "rsreward":
        check_rsreward(arguments, whole=True)
    elif head == "make":
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M)
        assert {word for word in arguments if "=" not in word} <= set(targets), words
    elif head.endswith("pip"):
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
        named = ",".join(re.findall(r"\[(.*?)\]", " ".join(arguments))).split(",")
        assert set(named) - {""} <= set(extras), words
    elif head.endswith("python") and arguments[0] == "-m":
        assert arguments[1] in OTHERS or find_spec(arguments[1].split(".")[0]), words
        check_verl(arguments[2:])
    elif head.endswith("python") and arguments[0].endswith(".py"):
        assert (ROOT / arguments[0]).exists(), words
    else:
        assert "=" in head or head in {"for", *OTHERS} or head.endswith("python"), words


def check_verl(overrides):
    for word in overrides:
        if word.startswith("rsvg_"):
            group, _, name = word.partition("=")
            assert (ROOT / "integrations/rsreward_verl/config" / group / f"{name}.yaml").exists(), word


@cache
def command_line():
    return typer.main.get_command(app)


@cache
def trl_flags(stage):
    from rsreward_qwen_vl.arguments import STAGES
    from rsreward_qwen_vl.plan import CONFIG, ModelConfig, TrlParser

    parser = TrlParser((*STAGES[stage][2], CONFIG[stage], ModelConfig))
    return {"--config", "--dry_run", "--help_all", *parser._option_string_actions}


def check_rsreward(arguments, whole):
    """Refuse what the command line would refuse; `whole`: whether nothing that is needed may be missing."""
    command, arguments = command_line(), list(arguments)
    while hasattr(command, "commands") and arguments and not arguments[0].startswith("-"):
        assert arguments[0] in command.commands, f"there is no command rsreward {arguments[0]}"
        command = command.commands[arguments.pop(0)]
    if command.name in ("sft", "grpo"):
        assert {word for word in arguments if word.startswith("--")} <= trl_flags(command.name), arguments
        return
    context = command.context_class(command, info_name=command.name)
    try:
        told, left, _ = command.make_parser(context).parse_args(arguments)
    except Exception as error:  # of the click that typer brings along
        if whole or "No such option" in str(error):
            raise
        return
    assert not left, f"{' '.join(left)} is too much for rsreward {command.name}"
    for parameter in command.params if whole else ():
        value = told.get(parameter.name)
        assert value or not parameter.required, f"rsreward {command.name} needs {parameter.name}"
        if value is not None:
            parameter.process_value(context, value)


def inline(page):
    """What stands in single backticks outside blocks."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.M | re.S)
    return [span.replace("\n", " ") for span in re.findall(r"(?<!`)`([^`]+)`(?!`)", text)]


@cache
def all_flags():
    def walk(command):
        yield from (name for parameter in command.params for name in [*parameter.opts, *parameter.secondary_opts])
        for each in getattr(command, "commands", {}).values():
            yield from walk(each)

    return {*walk(command_line()), *trl_flags("sft"), *trl_flags("grpo"), *FLAGS_OF_OTHERS}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_and_options_in_the_text_exist(page):
    for span in inline(page):
        told = re.sub(r"(--[\w-]+) (…|\.\.\.)", r"\1 SOMETHING", span)
        plain = re.sub(r"[\[\]…]|\.\.\.", " ", told)
        if span.startswith("rsreward "):
            words = [word.partition("|")[0] for word in shlex.split(plain.partition(" && ")[0])][1:]
            check_rsreward([word for word in words if word], whole=False)
        elif span.startswith("--"):
            assert set(re.findall(r"(?<!\S)--[\w-]+", plain)) <= all_flags(), span


@pytest.mark.parametrize(("page", "text"), list(cases("json", "jsonl")))
def test_json_can_be_read(page, text):
    for line in text.splitlines() if text.count("\n{") else [text]:
        json.loads(line)


@pytest.mark.parametrize(("page", "text"), list(cases("yaml")))
def test_yaml_can_be_read(page, text):
    assert yaml.safe_load(text)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("score a.jsonl --spaces pixel", "No such option: --spaces"),
        ("score a.jsonl --min-pixels many", "valid int"),
        ("scores a.jsonl", "there is no command rsreward scores"),
        ("score a.jsonl b.jsonl", "too much"),
        ("compare a.jsonl", "needs"),
        ("grpo --betas 1", "--betas"),
    ],
)
def test_a_wrong_command_is_noticed(wrong, said):
    with pytest.raises(Exception, match=said):
        check_rsreward(wrong.split(), whole=True)


def test_a_wrong_argument_is_noticed_in_a_block_that_cannot_run():
    with pytest.raises(AssertionError, match="spaces"):
        assert_calls_fit("from rsreward_trl import as_reward_func\nas_reward_func(reward, spaces='pixel')")
