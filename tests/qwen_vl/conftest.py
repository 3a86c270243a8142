"""A tiny model, scenes in files, a teacher to ask, and the command: each made once for all tests of the recipe."""

import json
import re
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from rsreward_qwen_vl.model.processors import save_processor
from rsreward_qwen_vl.model.tiny import build_model, build_processor, train_tokenizer
from rsreward_tools.cli.main import app
from rsreward_tools.data.prompts import TEMPLATE, instruction
from rsreward_tools.data.scenes import generate_scene
from rsreward_tools.data.scenes.dataset import write_scenes
from rsreward_tools.data.scenes.explained import explained
from typer.testing import CliRunner


@pytest.fixture(scope="session")
def rsreward():
    """Run a command here; what it refuses is raised."""

    def run(*arguments, **environment):
        result = CliRunner().invoke(app, [str(a) for a in arguments], env=environment)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


@pytest.fixture(scope="session")
def interrupted():
    """Run a command in a process of its own, and send it a signal as soon as something is so."""

    def run(signal, when, *arguments):
        command = str(Path(sys.executable).with_name("rsreward"))
        process = subprocess.Popen([command, *map(str, arguments)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        while not when():
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.01)
        process.send_signal(signal)
        told = process.communicate()[1].decode()
        return process.returncode, told

    return run


@pytest.fixture(scope="session")
def scenes(tmp_path_factory):
    """The folder of 24 scenes to learn from and 6 to be asked about, 64 x 64 pixels each."""
    root = tmp_path_factory.mktemp("scenes")
    write_scenes(root, {"train": 24, "test": 6}, level=1, size=64)
    return root


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A Qwen3-VL as a model is saved; its tokenizer has seen what the scenes ask and say."""
    folder = tmp_path_factory.mktemp("models") / "qwen3-vl-tiny"
    asked = [generate_scene(seed, 1) for seed in range(24)]
    tokenizer = train_tokenizer([text for s in asked for text in (instruction(s.query, TEMPLATE), explained(s))])
    sizes = {"width": 64, "layers": 1, "vision_width": 48, "vision_layers": 1}
    build_model(tokenizer, "qwen3-vl", 64, **sizes).save_pretrained(folder)
    save_processor(build_processor(tokenizer, "qwen3-vl", 64), folder)
    return folder


@pytest.fixture(scope="session")
def chains(rsreward, scenes, tmp_path_factory):
    """The Parquet file of what the scenes to learn from say of themselves."""
    out = tmp_path_factory.mktemp("cot")
    rsreward("cot", scenes / "train.parquet", "--images", scenes, "--out", out, "--space", "qwen3-vl")
    return out / "cot.parquet"


def _good_chain(request):
    """What an honest teacher answers: the box that it was told, after reasoning of its own."""
    text = request["messages"][0]["content"][1]["text"]
    box = re.search(r"Its box is (\[.*?\])", text)[1]
    return f"<think>It lies left of the middle, beside the road, near {box}.</think><answer>{box}</answer>"


@pytest.fixture(scope="session")
def teacher():
    """A local server that speaks the chat-completions protocol, with faults where it is told, as a context manager.

    It gives the server's base URL and the requests it got. The first requests meet the faults, one each.
    """
    return _teacher


@contextmanager
def _teacher(answer=_good_chain, faults=(), pause=0):
    requests: list[dict] = []
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                requests.append(request | {"key": self.headers["Authorization"], "time": time.monotonic()})
                fault = faults[len(requests) - 1] if len(requests) <= len(faults) else answer(request)
            time.sleep(pause)
            if fault.isdigit():
                self._send(int(fault), b'{"error": {"message": "no"}}')
            elif fault == "slow":
                time.sleep(2.5)
            elif fault == "cut":
                self.send_response(200)
                self.send_header("Content-Length", "500")
                self.end_headers()
                self.wfile.write(b'{"choices": [')
            elif fault == "not json":
                self._send(200, b"<html>busy</html>")
            elif fault == "no choices":
                self._send(200, b'{"id": "1", "choices": []}')
            else:
                choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": fault}}
                usage = {"prompt_tokens": 1000, "completion_tokens": 20, "total_tokens": 1020}
                whole = {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice]}
                self._send(200, json.dumps(whole | {"usage": usage}).encode())

        def _send(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("retry-after-ms", "10")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", requests
    finally:
        server.shutdown()
        server.server_close()
