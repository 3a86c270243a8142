"""Run the notebooks of this folder and keep what they show.

python examples/run_notebooks.py                  # all of them, each in an empty folder
python examples/run_notebooks.py oriented.ipynb

They run in this process, without Jupyter. A line `!rsreward ...` calls the command here, with {names} put in.
"""

import ast
import base64
import io
import json
import os
import re
import sys
import time
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

HERE = Path(__file__).parent
Output = dict[str, Any]
COMMAND = re.compile(r"^!rsreward (.*)$", re.MULTILINE)


def run(notebook: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The notebook with the outputs of its cells, run one after the other in a folder.

    Raises:
        Exception: what a cell raises, with a note that names the cell.
    """
    names: dict[str, Any] = {"__name__": "__main__", "_rsreward": _rsreward}
    cells = []
    with chdir(folder):
        for number, cell in enumerate(notebook["cells"]):
            if cell["cell_type"] == "code":
                try:
                    outputs = _outputs("".join(cell["source"]), names)
                except Exception as error:
                    error.add_note(f"in cell {number}")
                    raise
                cell = cell | {"outputs": outputs, "execution_count": None}
            cells.append(cell)
    return notebook | {"cells": cells}


def _outputs(source: str, names: dict[str, Any]) -> list[Output]:
    tree = ast.parse(COMMAND.sub(lambda line: f"_rsreward(f{line[1]!r})", source))
    shown = ast.Expression(tree.body.pop().value) if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    printed = io.StringIO()
    with redirect_stdout(printed):
        exec(compile(tree, "<cell>", "exec"), names)  # noqa: S102
        value = eval(compile(shown, "<cell>", "eval"), names) if shown else None  # noqa: S307
    text = printed.getvalue()
    streams = [{"output_type": "stream", "name": "stdout", "text": text.splitlines(True)}] if text else []
    return streams + ([] if value is None else [_displayed(value)])


def _displayed(value: Any) -> Output:
    """What a notebook shows of the last value of a cell: a picture, or its text."""
    data: dict[str, Any] = {"text/plain": [type(value).__name__]}
    if hasattr(value, "savefig"):
        picture = io.BytesIO()
        value.savefig(picture, format="png", dpi=60, metadata={"Software": None})
        data["image/png"] = base64.b64encode(picture.getvalue()).decode()
    elif hasattr(value, "_repr_png_"):
        data["image/png"] = base64.b64encode(value._repr_png_()).decode()
    else:
        data["text/plain"] = repr(value).splitlines(True)
    return {"output_type": "display_data", "metadata": {}, "data": data}


def _rsreward(line: str) -> None:
    """The command, as a notebook calls it; its words on stderr stand among the others."""
    import shlex

    from rsreward_tools.cli.main import app
    from typer.testing import CliRunner

    done = CliRunner().invoke(app, shlex.split(line))
    print(done.output, end="")
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    if done.exit_code:
        raise RuntimeError(f"rsreward {line} ended with exit code {done.exit_code}.")


def written(notebook: dict[str, Any]) -> str:
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def main() -> None:
    os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "COLUMNS": "130", "TQDM_DISABLE": "1"}
    for file in [HERE / name for name in sys.argv[1:]] or sorted(HERE.glob("*.ipynb")):
        began = time.perf_counter()
        with TemporaryDirectory() as folder, redirect_stderr(sys.stdout):
            done = run(json.loads(file.read_text(encoding="utf-8")), Path(folder))
        file.write_text(written(done), encoding="utf-8")
        print(f"{file.name}: {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
