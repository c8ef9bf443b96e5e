from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest


@dataclass(kw_only=True)
class Api:
    """A server on loopback: `answers` gives (status, headers, body) per call; an iterator as body is streamed."""

    answers: Callable[[str, dict[str, str], Any], tuple[int, dict[str, str], Any]]
    calls: list[tuple[str, dict[str, str], dict[str, str]]] = field(default_factory=list)


@pytest.fixture
def serve() -> Iterator[Callable[..., tuple[Api, httpx.Client]]]:
    """`serve(answers)` -> (api, client): a real HTTP server and an httpx client that talks to it."""
    opened: list[Any] = []

    def start(answers: Callable[..., Any]) -> tuple[Api, httpx.Client]:
        api = Api(answers=answers)

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                query, headers = dict(parse_qsl(parts.query)), {k.lower(): v for k, v in self.headers.items()}
                api.calls.append((parts.path, query, headers))
                status, extra, body = api.answers(parts.path, query, headers)
                self.send_response(status)
                for name, value in extra.items():
                    self.send_header(name, value)
                if isinstance(body, bytes):
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                    return
                self.close_connection = True
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                with contextlib.suppress(ConnectionError):
                    for chunk in body:
                        if chunk is None:  # cut off in the middle: no last chunk
                            return
                        self.wfile.write(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
                        self.wfile.flush()
                    self.wfile.write(b"0\r\n\r\n")

            def log_message(self, *args: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        client = httpx.Client(base_url=f"http://127.0.0.1:{server.server_port}", headers={"Authorization": "Bearer secret"}, timeout=5.0)
        opened.append((server, thread, client))
        return api, client

    yield start
    for server, thread, client in opened:
        client.close()
        server.shutdown()
        thread.join()
        server.server_close()
