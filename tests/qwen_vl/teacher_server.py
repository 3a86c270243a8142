"""A local server that speaks the chat-completions protocol, with faults where it is told."""

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def good_chain(request: dict) -> str:
    """What an honest teacher answers: the box that it was told, after reasoning of its own."""
    text = request["messages"][0]["content"][1]["text"]
    box = re.search(r"Its box is (\[.*?\])", text)[1]
    return f"<think>It lies left of the middle, beside the road, near {box}.</think><answer>{box}</answer>"


@contextmanager
def teacher(
    answer: Callable[[dict], str] = good_chain, faults: tuple[str, ...] = ()
) -> Iterator[tuple[str, list[dict]]]:
    """The server's base URL and the requests it got. The first requests meet the faults, one each."""
    requests: list[dict] = []
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                requests.append(request | {"path": self.path, "key": self.headers["Authorization"]})
                fault = faults[len(requests) - 1] if len(requests) <= len(faults) else answer(request)
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
                self._send(200, json.dumps({"id": "1", "object": "chat.completion", "created": 0, "model": "m",
                                            "choices": [choice], "usage": usage}).encode())  # fmt: skip

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
