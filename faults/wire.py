"""Between the sandbox's servers and the collectors: answers that come broken, late, twice or not at all."""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import grpc
import orjson

from sandbox.google_grpc import serve_grpc
from sandbox.http_server import Request, Response, serve_http

# So many events a page: a small world's answers must come in many pages for a fault to fall between them.
PAGE = 150

HttpFault = Callable[[int, Request, Callable[[], Response]], Response]
GrpcFault = Callable[[int, grpc.ServicerContext, Callable[[], bytes]], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bend:
    """
    Args:
        http, grpc: called for every call with its number from 1 and a function that gives the true answer; None leaves
            the answers as they are.
        reset: share of connections that are reset after some kilobytes of answers, whoever speaks on them.
    """

    http: HttpFault | None = None
    grpc: GrpcFault | None = None
    reset: float = 0.0
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bent:
    """Addresses of the bent servers; `calls` counts what reached them, by platform."""

    by_platform: dict[str, str]
    calls: dict[str, int]

    def of(self, platform: str) -> str | None:
        return self.by_platform.get(platform)


@contextlib.contextmanager
def bent(addresses: Any, bend: Bend) -> Iterator[Bent]:
    """Every server of `addresses` once more, in small pages and bent."""
    made = Bent(by_platform={}, calls={})
    with contextlib.ExitStack() as stack:
        for platform in ("aws-lambda", "runpod"):
            if platform in addresses.services:
                answer = _http(addresses.services[platform], platform, bend, made.calls)
                made.by_platform[platform] = stack.enter_context(serve_http(answer))
        if "cloud-run" in addresses.services:
            services = {
                addresses.services[name].SERVICE: _grpc(addresses.services[name].methods(), bend, made.calls)
                for name in ("cloud-run", "monitoring")
            }
            made.by_platform["cloud-run"] = stack.enter_context(serve_grpc(services))
        if bend.reset:
            for platform, url in made.by_platform.items():
                scheme, separator, place = url.rpartition("://")
                port = stack.enter_context(cutting(int(place.rpartition(":")[2]), share=bend.reset, seed=bend.seed))
                made.by_platform[platform] = f"{scheme}{separator}127.0.0.1:{port}"
        yield made


def _http(inner: Callable[[Request], Response], platform: str, bend: Bend, calls: dict[str, int]) -> Callable[[Request], Response]:
    guard = threading.Lock()

    def answer(request: Request) -> Response:
        with guard:
            number = calls[platform] = calls.get(platform, 0) + 1
        given = _small_pages(request)

        def true_answer() -> Response:
            return inner(given)

        return bend.http(number, given, true_answer) if bend.http else true_answer()

    return answer


def _small_pages(request: Request) -> Request:
    if not request.headers.get("x-amz-target", "").endswith("FilterLogEvents"):
        return request
    return replace(request, body=orjson.dumps({**orjson.loads(request.body), "limit": PAGE}))


def _grpc(methods: Any, bend: Bend, calls: dict[str, int]) -> dict[str, Any]:
    guard = threading.Lock()

    def wrapped(behave: Any, write: Any) -> Callable[[Any, grpc.ServicerContext], bytes]:
        def answer(request: Any, context: grpc.ServicerContext) -> bytes:
            with guard:
                number = calls["cloud-run"] = calls.get("cloud-run", 0) + 1
            if "page_size" in type(request).meta.fields:
                request.page_size = PAGE

            def true_answer() -> bytes:
                return write(behave(request, context))

            return bend.grpc(number, context, true_answer) if bend.grpc else true_answer()

        return answer

    return {name: (read, wrapped(behave, write), lambda wire: wire) for name, (read, behave, write) in methods.items()}


@contextlib.contextmanager
def cutting(port: int, *, share: float, seed: int) -> Iterator[int]:
    """A relay to a loopback port that resets a share of its connections after a few kilobytes of answers, TCP RST and all."""
    rng, guard = random.Random(seed), threading.Lock()
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.1)
    stop = threading.Event()
    threads: list[threading.Thread] = []

    def relay(client: socket.socket) -> None:
        with guard:
            left = rng.randint(1, 60_000) if rng.random() < share else None
        with client, socket.create_connection(("127.0.0.1", port)) as server:
            up = threading.Thread(target=_pump, args=(client, server, None, stop), daemon=True)
            up.start()
            if _pump(server, client, left, stop):
                # Linger 0: the peer gets a reset, not an orderly end.
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            for end in (client, server):
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RD)
            up.join(timeout=2)

    def accept() -> None:
        while not stop.is_set():
            try:
                client, _ = listener.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            thread = threading.Thread(target=relay, args=(client,), daemon=True)
            threads.append(thread)
            thread.start()

    accepting = threading.Thread(target=accept, daemon=True)
    accepting.start()
    try:
        yield listener.getsockname()[1]
    finally:
        stop.set()
        accepting.join(timeout=2)
        listener.close()
        for thread in threads:
            thread.join(timeout=2)


def _pump(source: socket.socket, target: socket.socket, left: int | None, stop: threading.Event) -> bool:
    """Copies until an end closes; True where it stopped because `left` bytes were through."""
    source.settimeout(0.2)
    with contextlib.suppress(OSError):
        while not stop.is_set():
            try:
                data = source.recv(16_384)
            except TimeoutError:
                continue
            if not data:
                break
            if left is not None and len(data) >= left:
                target.sendall(data[:left])
                return True
            left = None if left is None else left - len(data)
            target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)
    return False
