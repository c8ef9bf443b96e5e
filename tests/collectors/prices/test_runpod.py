"""RunPod's catalogue over a loopback HTTP server, with real requests."""

from __future__ import annotations

import json
import threading
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx
import pytest

from collectors.prices import runpod
from collectors.prices.offer import NoOffer
from trial.errors import Denied, Malformed
from trial.meter import Meter

WANTED = {
    "runpod-flex-4090": {"via": "runpod-catalogue", "gpus": ["NVIDIA RTX 4090"]},
    "runpod-flex-24gb": {"via": "runpod-catalogue", "gpus": ["NVIDIA A5000", "NVIDIA RTX 3090"]},
    "hf-t4": {},
}


def gpu(name: str, pool: str | None, serverless: object) -> dict:
    price = {"secure": 0.44, "community": 0.31, "serverless": serverless}
    return {"id": f"NVIDIA {name}", "name": name, "pool": pool, "memory": 24, "secure": True, "price": price}


@pytest.fixture
def serve():
    """Starts a server that answers one body to everybody with the right key."""
    running = []

    def start(body: object) -> httpx.Client:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                allowed = self.headers.get("Authorization") == "Bearer key" and self.path == "/v2/catalog/gpus"
                text = (
                    (body if isinstance(body, bytes) else json.dumps(body).encode()) if allowed else b'{"detail": "missing bearer token"}'
                )
                self.send_response(200 if allowed else 401)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_):
                pass

        server = HTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        http = httpx.Client(base_url=f"http://127.0.0.1:{server.server_port}", headers={"Authorization": "Bearer key"})
        running.append((server, thread, http))
        return http

    yield start
    for server, thread, http in running:
        http.close()
        server.shutdown()
        thread.join()
        server.server_close()


def fetch(http: httpx.Client) -> list:
    return list(runpod.fetch(http, WANTED, meter=Meter()))


def test_a_rows_gpus_and_not_its_pool_give_the_price(serve):
    gpus = [
        gpu("RTX 4090", "ADA_24", 1.1),
        gpu("A5000", "AMPERE_24", 0.69),
        gpu("RTX 3090", "AMPERE_24", 0.69),
        gpu("H100", None, 4.18),
        gpu("L4", "ADA_24", 0.69),
    ]
    first, second = fetch(serve({"gpus": gpus}))
    assert (first.row, first.per, first.amounts, first.rounded) == ("runpod-flex-4090", "h", ((Decimal(0), Decimal("1.1")),), True)
    assert second.said == "A5000, RTX 3090; rounded by the catalogue"


def test_gpus_without_one_price_are_no_offer(serve):
    gpus = [gpu("A5000", "AMPERE_24", 0.69), gpu("RTX 3090", "AMPERE_24", 0.5), gpu("RTX 4090", "ADA_24", 0), {"id": "x", "pool": "ADA_24"}]
    first, second = fetch(serve({"gpus": gpus}))
    assert isinstance(first, NoOffer)
    assert "no serverless price in the catalogue" in first.reason
    assert "2 serverless prices" in second.reason


@pytest.mark.parametrize("body", [{"gpus": 3}, {}, b"<html>", [1], {"gpus": [gpu("RTX 4090", "ADA_24", "dear")]}])
def test_answers_of_another_shape_are_malformed(serve, body):
    with pytest.raises(Malformed):
        fetch(serve(body))


def test_a_refused_key_names_its_variable(serve):
    http = serve({"gpus": []})
    http.headers["Authorization"] = "Bearer other"
    with pytest.raises(Denied, match="RUNPOD_API_KEY"):
        fetch(http)


def test_nothing_wanted_asks_nothing():
    with httpx.Client(base_url="http://127.0.0.1:9") as http:
        assert list(runpod.fetch(http, {"hf-t4": {}}, meter=Meter())) == []
