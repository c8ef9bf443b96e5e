"""Keys planted in every environment variable, header, URL and file a trial uses, and then looked for in everything it leaves."""

import importlib.util
import json
import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from trial import config, raw
from trial.errors import ConfigError, FortnightError
from trial.store import TABLES, Store

ROOT = Path(__file__).resolve().parents[1]

_spec = importlib.util.spec_from_file_location("flows_conftest", ROOT / "tests" / "flows" / "conftest.py")
shared = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(shared)

# One word a place, so that a leak says where it came from. None may be found anywhere afterwards.
PLANTED = {
    "PLANTED_RUNPOD_KEY": "rpaK7q2wZ9plantedrunpod",
    "PLANTED_REPLICATE_KEY": "r8N4vX1plantedreplicate",
    "AWS_ACCESS_KEY_ID": "AKIAPLANTEDACCESSKEY",
    "AWS_SECRET_ACCESS_KEY": "wJalrPlantedAwsSecret0123456789abcdefghi",
    "AWS_SESSION_TOKEN": "FwoGZXPlantedAwsSessionToken",
    "MLFLOW_TRACKING_PASSWORD": "mlfPlantedPassword",
    "MLFLOW_TRACKING_TOKEN": "mlfPlantedToken",
    "PGPASSWORD": "pgPlantedPassword",
}
NOTIFY = {"user": "apprisePlantedPassword", "schema": "apprisePlantedUnparseable"}
GOOGLE = "googlePlantedPrivateKeyId"
ALL = [*PLANTED.values(), *NOTIFY.values(), GOOGLE]

TOML = (
    shared.TOML.replace('api_key_env = "FORTNIGHT_TEST_KEY"', 'api_key_env = "PLANTED_RUNPOD_KEY"').replace(
        "http://127.0.0.1:9", "{address}"
    )
    + """
[[endpoints]]
name = "lam"
platform = "aws-lambda"
function = "f"
region = "us-east-1"
api_endpoint = "{address}"

[[endpoints]]
name = "rep"
platform = "replicate"
api_key_env = "PLANTED_REPLICATE_KEY"
api_endpoint = "{address}"

[[endpoints]]
name = "run"
platform = "cloud-run"
project = "p"
service = "s"
region = "r"
"""
)

SCRIPT = """
import sys
from datetime import datetime, UTC
from pathlib import Path
from flows import quiet
quiet.settle()
quiet.speak()
from flows.daily import collect_missing
from flows import publishing
from trial import config
now = datetime(2026, 11, 4, 4, tzinfo=UTC)
for failure in collect_missing("trial.toml", now=now):
    print("FAILED", failure)
result, files = publishing.publish(config.load(Path("trial.toml")), now=now)
print("REPORT", files.html, len(result.endpoints))
"""


@contextmanager
def echoing():
    """An API that refuses everything and quotes the whole request while doing so, as some do."""
    heard = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            heard.append(f"{self.path} {self.headers}")
            key = self.headers.get("Authorization", "").rpartition(" ")[2]
            said = f"{self.path} refused: there is no {key} here. {' '.join(str(self.headers).split())}"
            code = {"__type": "SignatureDoesNotMatch", "message": f"does not match. The Canonical String should have been {said}"}
            body = json.dumps({**code, "detail": said, "title": "denied"}).encode()
            self.send_response(403)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self):
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.do_GET()

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", heard
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="module")
def left(tmp_path_factory):
    """A trial that collects, fails in four ways, tells people, logs to MLflow and reports; and what it printed."""
    folder = tmp_path_factory.mktemp("planted")
    prefect = tmp_path_factory.mktemp("prefect")
    elsewhere = tmp_path_factory.mktemp("keys")
    with echoing() as (address, heard):
        (folder / "trial.toml").write_text(TOML.format(days=2, address=address))
        shared.write_lines(folder / "lines" / "a.jsonl", shared.handler_lines(days=2, gap_s=1500))
        key = {"type": "service_account", "private_key": f"-----BEGIN PRIVATE KEY-----\n{GOOGLE}\n-----END PRIVATE KEY-----\n"}
        key |= {"client_email": "a@b.iam.gserviceaccount.com", "token_uri": f"{address}/token", "private_key_id": GOOGLE}
        (elsewhere / "key.json").write_text(json.dumps(key))
        port = address.rpartition(":")[2]
        env = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "PREFECT_", "MLFLOW_", "GOOGLE_"))},
            **PLANTED,
            "FORTNIGHT_NOTIFY_URLS": f"json://me:{NOTIFY['user']}@127.0.0.1:{port}/hook nosuch://{NOTIFY['schema']}@host",
            "GOOGLE_APPLICATION_CREDENTIALS": str(elsewhere / "key.json"),
            "PREFECT_HOME": str(prefect),
            "PREFECT_LOGGING_TO_API_ENABLED": "true",
            "HOME": str(elsewhere),
            "PYTHONPATH": str(ROOT),
        }
        done = subprocess.run([sys.executable, "-c", SCRIPT], cwd=folder, env=env, capture_output=True, text=True, timeout=250)
        # The same failure with all there is to say about it.
        debug = subprocess.run(
            [sys.executable, "-c", "from flows.cli import main; main()", "--debug", "doctor"],
            cwd=folder,
            env=env,
            capture_output=True,
            text=True,
            timeout=120,
        )
    (folder / "stdout.txt").write_text(done.stdout + debug.stdout)
    (folder / "stderr.txt").write_text(done.stderr + debug.stderr)
    assert done.returncode == 0, done.stderr
    return {"folder": folder, "prefect": prefect, "heard": "\n".join(heard), "done": done}


def test_the_keys_were_used_and_the_failures_were_told(left):
    """Otherwise the search below would prove nothing."""
    assert PLANTED["PLANTED_RUNPOD_KEY"] in left["heard"]
    assert PLANTED["AWS_SESSION_TOKEN"] in left["heard"]
    assert PLANTED["PLANTED_REPLICATE_KEY"] in left["heard"]
    assert "/hook " in left["heard"]
    failures = [line.split()[1] for line in left["done"].stdout.splitlines() if line.startswith("FAILED")]
    assert failures == ["lam:", "rep:", "run:"]
    assert "does not match" in left["done"].stdout
    assert (left["folder"] / "fortnight-data" / "mlflow.db").exists()
    assert (left["folder"] / "fortnight-data" / "report").is_dir()
    assert list(left["prefect"].glob("*.db"))


def test_no_planted_key_is_in_any_file_that_is_left(left):
    found = []
    for root in (left["folder"], left["prefect"]):
        for path in root.rglob("*"):
            if path.is_file():
                data = path.read_bytes()
                found += [(word, str(path)) for word in ALL if word.encode() in data]
    assert found == []


def test_no_planted_key_is_in_the_compressed_files(left):
    store = Store.at(str(left["folder"] / "fortnight-data"))
    texts = [str(store.table(name, "rp").to_pylist()) for name in TABLES]
    for name in store.files.list("raw"):
        _, endpoint, day, source, _ = name.split("/")
        place = {"endpoint": endpoint.split("=")[1], "day": date.fromisoformat(day.split("=")[1]), "source": source.split("=")[1]}
        texts += [f"{event.stream} {event.payload}" for event in raw.read(store.files, **place)]
    assert len(texts) > 50
    assert [word for word in ALL for text in texts if word in text] == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('api_key_env = "PLANTED_RUNPOD_KEY"', 'api_key_env = "rpa_PASTEDKEY123"'),
        ('api_key_env = "PLANTED_RUNPOD_KEY"', 'api_key = "rpa_PASTEDKEY123"'),
        ('handler_lines = "lines/*.jsonl"', 'handler_lines = "s3://AKIA:rpa_PASTEDKEY123@bucket/*.jsonl"'),
        ('api_endpoint = "http://127.0.0.1:1"', 'api_endpoint = "http://me:rpa_PASTEDKEY123@127.0.0.1:1"'),
        ("[[dedicated]]", '[tracking]\nuri = "postgresql://m:rpa_PASTEDKEY123@db/m"\n[[dedicated]]'),
        ("[[dedicated]]", '[tracking]\nuri = "postgresql://db/m?password=rpa_PASTEDKEY123"\n[[dedicated]]'),
        ("[[dedicated]]", '[store]\nurl = "s3://a:rpa_PASTEDKEY123@b/c"\n[[dedicated]]'),
        ("[[dedicated]]", '[store]\nurl = ["rpa_PASTEDKEY123"]\n[[dedicated]]'),
    ],
)
def test_a_key_in_the_configuration_is_refused_without_being_repeated(old, new):
    text = TOML.format(days=2, address="http://127.0.0.1:1")
    assert old in text
    with pytest.raises(ConfigError) as caught:
        config.parse(text.replace(old, new, 1), path=Path("trial.toml"))
    assert "PASTEDKEY" not in str(caught.value)
    assert "PASTEDKEY" not in str(caught.value.__cause__)


@pytest.mark.parametrize(
    "said",
    [
        "GET http://me:plantedPw1@host/x failed",
        "401 for Authorization: Bearer plantedPw1",
        'sent {"password": "plantedPw1"}',
        "POST /?access_token=plantedPw1&x=1",
        "x-amz-security-token:plantedPw1 host:y",
        "AWS4-HMAC-SHA256 Credential=plantedPw1/20261102/us-east-1/logs/aws4_request",
    ],
)
def test_what_looks_like_a_credential_is_blotted_out_of_errors(said):
    error = FortnightError(f"no answer: {said}", where=said)
    assert "plantedPw1" not in str(error) + repr(error) + str(error.args)


@pytest.mark.parametrize("said", ["Set RUNPOD_API_KEY to a RunPod API key", "The security token included in the request is invalid"])
def test_words_about_credentials_are_left_alone(said):
    assert str(FortnightError(said)) == said
