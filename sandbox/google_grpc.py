"""A gRPC server on a free loopback port, from generic handlers: the vendor ships clients, no servicers."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from sandbox.faults import Dice

Method = tuple[Callable[[bytes], Any], Callable[[Any, grpc.ServicerContext], Any], Callable[[Any], bytes]]


class _Noting(grpc.GenericRpcHandler):
    """Notes each call's full method name, offered here or not, and leaves it to the handlers behind."""

    def __init__(self, asked: set[str]) -> None:
        self._asked = asked

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> None:
        self._asked.add(handler_call_details.method)


@contextlib.contextmanager
def serve_grpc(services: Mapping[str, Mapping[str, Method]], *, asked: set[str] | None = None) -> Iterator[str]:
    """
    Args:
        services: full service name -> method name -> (request deserializer, behaviour, response serializer).
        asked: takes the full names of all methods that are called.

    Yields:
        the address, 127.0.0.1:<port>.
    """
    pool = ThreadPoolExecutor(max_workers=8)
    server = grpc.server(pool, options=[("grpc.max_send_message_length", 64 << 20)])
    if asked is not None:
        server.add_generic_rpc_handlers((_Noting(asked),))
    for service, methods in services.items():
        handlers = {
            name: grpc.unary_unary_rpc_method_handler(behave, request_deserializer=read, response_serializer=write)
            for name, (read, behave, write) in methods.items()
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(grace=None).wait()
        pool.shutdown(wait=True)


def refuse(dice: Dice, context: grpc.ServicerContext, *, quota: str) -> None:
    """Aborts the call where the dice say so."""
    faults = dice.faults
    if faults.expired:
        context.abort(grpc.StatusCode.UNAUTHENTICATED, "Request had invalid authentication credentials.")
    if faults.denied:
        context.abort(grpc.StatusCode.PERMISSION_DENIED, f"Permission denied for {quota}.")
    fault = dice.next_fault()
    if fault == "throttle":
        context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, f"Quota exceeded for quota metric '{quota}' and limit per minute.")
    if fault:
        context.abort(grpc.StatusCode.UNAVAILABLE, "The service is currently unavailable.")
