"""Bad input through the command line: one line that says what, where and what to do, and nothing stored is lost or changed."""

import gzip
import importlib.util
import io
import json
import os
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

_spec = importlib.util.spec_from_file_location("flows_conftest", Path(__file__).with_name("conftest.py"))
shared = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(shared)

TRIAL = """\
[trial]
name = "bad"
start = 2024-11-04
days = 2
timezone = "UTC"

[[endpoints]]
name = "e"
platform = "export"
format = "{format}"
path = "logs/*"
price = "aws-lambda-x86"
resources = {{ memory_mb = 1024 }}
"""
NOON = 1730721600000  # 2024-11-04T12:00:00Z


def lambda_events(*messages):
    return [
        {"logStreamName": "2024/11/04/[1]a", "timestamp": NOON + i, "message": m, "ingestionTime": NOON + i, "eventId": f"{i:056d}"}
        for i, m in enumerate(messages)
    ]


REQUEST = (
    "START RequestId: 8f5a3b0e-1c1c-4f0e-9a43-2b8a8a1d2c3d Version: 1\n",
    "END RequestId: 8f5a3b0e-1c1c-4f0e-9a43-2b8a8a1d2c3d\n",
    "REPORT RequestId: 8f5a3b0e-1c1c-4f0e-9a43-2b8a8a1d2c3d\tDuration: 100.00 ms\tBilled Duration: 100 ms\tMemory Size: 1024 MB\tMax Memory Used: 90 MB\t\n",
)
GOOD = json.dumps({"events": lambda_events(*REQUEST)})
OWN = "started_at,handler_ms,cold\n2024-11-04T12:00:00Z,12.5,warm\n"


def parquet(**columns):
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out)
    return out.getvalue()


@pytest.fixture(scope="module")
def collected(tmp_path_factory, prefect_api):
    """A folder where one good file of each format was collected, to be copied."""
    from flows.daily import collect_missing

    folders = {}
    for format, name, content in (("aws-lambda", "a.json", GOOD), ("invocations", "a.csv", OWN)):
        folder = folders[format] = tmp_path_factory.mktemp(format)
        (folder / "trial.toml").write_text(TRIAL.format(format=format))
        (folder / "logs").mkdir()
        (folder / "logs" / name).write_text(content)
        assert collect_missing(str(folder / "trial.toml"), publish=False) == []
    return folders


def kept(folder):
    """What is stored; that a pull was made, and that its failure was told, is news and no change of the data."""
    data = folder / "fortnight-data"
    files = {str(p.relative_to(data)): p.read_bytes() for p in sorted(data.rglob("*")) if p.is_file()}
    return {name: content for name, content in files.items() if not name.startswith("pulls/") and name != "told.json"}


@pytest.mark.parametrize(
    ("format", "name", "content", "says"),
    [
        ("aws-lambda", "b.json", GOOD[: len(GOOD) // 2], ["logs/b.json", "ends in the middle of a JSON value", "Export it again"]),
        ("aws-lambda", "b.json", b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", ["logs/b.json"]),
        ("aws-lambda", "b.json", '[{"logName": "l", "timestamp": "2024-11-04T12:00:00Z", "insertId": "i"}]', ["logs/b.json", 'set format = "cloud-run"']),
        ("aws-lambda", "b.parquet", parquet(started_at=["2024-11-04T12:00:00Z"]), ["logs/b.parquet", 'format = "invocations"']),
        ("aws-lambda", "b.txt", "hello\nworld\n", ["logs/b.txt", "no line carries a time"]),
        ("aws-lambda", "b.json.gz", gzip.compress(GOOD.encode())[:-20], ["logs/b.json.gz", "compressed data is damaged or ends early"]),
        ("invocations", "b.csv", "", ["logs/b.csv", "no header with `started_at`"]),
        ("invocations", "b.csv", "started_at,handler_ms\n2024-11-04T12:00:00Z,fast\n", ["logs/b.csv", "handler_ms", "fast"]),
        ("invocations", "b.csv", "started_at,hander_ms\n2024-11-04T12:00:00Z,1\n", ["logs/b.csv", "unknown column `hander_ms`"]),
        ("invocations", "b.csv", "started_at,handler_ms\n2024-11-04T12:00:00Z\n", ["logs/b.csv", "row 1"]),
        ("invocations", "b.csv", "started_at\n2024-11-04 12:00\n", ["logs/b.csv", "`started_at`", "expected a time with its zone"]),
        ("invocations", "b.csv", "started_at,cold\n2024-11-04T12:00:00Z,maybe\n", ["logs/b.csv", "cold", "maybe"]),
        ("invocations", "b.csv", "handler_ms\n12\n", ["logs/b.csv", "started_at"]),
        ("invocations", "b.jsonl", '{"started_at": "2024-11-04T12:00:00Z"}\n{"started_at": "2024', ["logs/b.jsonl"]),
        ("invocations", "b.parquet", parquet(started_at=["2024-11-04T12:00:00Z"], handler_ms=["x"]), ["logs/b.parquet", "handler_ms"]),
        ("invocations", "b.parquet", parquet(started_at=["2024-11-04T12:00:00Z"])[:-9], ["logs/b.parquet"]),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 20 else None,
)  # fmt: skip
def test_a_file_that_is_not_what_its_format_says(format, name, content, says, collected, tmp_path, fortnight):
    folder = shutil.copytree(collected[format], tmp_path / "copy")
    before = kept(folder)
    (folder / "logs" / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    code, out, lines = fortnight(folder, "collect", "--day", "2024-11-04", "--no-publish")
    assert (code, out) == (1, "")
    assert len(lines) == 2
    for part in says:
        assert part in lines[0]
    assert lines[1].startswith("fortnight: 1 failure, named above")
    assert kept(folder) == before


@pytest.mark.parametrize(
    ("breaks", "says"),
    [
        (lambda logs: (logs / "a.json").unlink(), "logs/*: no file matches"),
        (lambda logs: [(logs / "a.json").unlink(), (logs / "sub").mkdir()], "logs"),
    ],
    ids=["nothing", "a-folder"],
)
def test_a_glob_that_finds_no_file(breaks, says, collected, tmp_path, fortnight):
    folder = shutil.copytree(collected["aws-lambda"], tmp_path / "copy")
    before = kept(folder)
    breaks(folder / "logs")
    code, out, lines = fortnight(folder, "collect", "--day", "2024-11-04", "--no-publish")
    assert (code, out, len(lines)) == (1, "", 2)
    assert says in lines[0]
    assert kept(folder) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(collected, tmp_path, fortnight):
    folder = shutil.copytree(collected["aws-lambda"], tmp_path / "copy")
    before = kept(folder)
    (folder / "logs" / "a.json").chmod(0)
    code, _, lines = fortnight(folder, "collect", "--day", "2024-11-04", "--no-publish")
    assert code == 1
    assert "logs/a.json" in lines[0]
    assert kept(folder) == before


def test_malformed_lines_are_counted_and_stop_nothing(collected, tmp_path, fortnight):
    folder = shutil.copytree(collected["aws-lambda"], tmp_path / "copy")
    broken = (
        '{"fortnight": 1, "request_id": "8f5a3b0e-1c1c-4f0e-9a43-2b8a8a1d2c3d", "gpu_ms": 1',
        "REPORT RequestId: 8f5a3b0e\tDuration: 15",
    )
    (folder / "logs" / "a.json").write_text(json.dumps({"events": lambda_events(*REQUEST, *broken)}))
    code, out, _ = fortnight(folder, "collect", "--day", "2024-11-04", "--no-publish", "--json")
    assert code == 0
    day = json.loads(out)["endpoints"][0]["days"][0]
    assert (day["requests"], day["ledger"]["rejected"]) == (1, 2)
    code, out, _ = fortnight(folder, "status", "--rejected")
    assert code == 0
    assert all(repr(line)[1:-1] in out for line in broken), "verbatim"


def test_an_empty_file_is_a_file_without_events_and_is_named(collected, tmp_path, fortnight):
    folder = shutil.copytree(collected["aws-lambda"], tmp_path / "copy")
    before = kept(folder)
    (folder / "logs" / "b.json").write_text("")
    code, _, lines = fortnight(folder, "collect", "--day", "2024-11-04", "--no-publish")
    assert code == 0
    (line,) = lines
    assert "logs/b.json is empty: taken as a file without events" in line
    after = kept(folder)
    assert {n: c for n, c in after.items() if n.startswith("invocations/")} == {
        n: c for n, c in before.items() if n.startswith("invocations/")
    }


def test_an_empty_log_group_is_a_day_without_requests(collected, tmp_path, fortnight):
    folder = shutil.copytree(collected["aws-lambda"], tmp_path / "copy")
    (folder / "logs" / "a.json").write_text('{"events": [], "searchedLogStreams": []}')
    code, out, lines = fortnight(folder, "collect", "--day", "2024-11-05", "--no-publish", "--json")
    assert (code, lines) == (0, [])
    assert [d["requests"] for d in json.loads(out)["endpoints"][0]["days"]] == [1, 0]
    code, out, _ = fortnight(folder, "verdict", "--json")
    assert (code, json.loads(out)["endpoints"][0]["decision"]) == (20, "not-decided")


CONFIG = [
    ('start = 2024-11-04', 'start = "soon"', "line 3: `trial.start` should be a valid date"),
    ('start = 2024-11-04', 'start = 2024-13-04', "line 3"),
    ('start = 2024-11-04', 'start = 2024-11-04T00:00:00Z', "line 3: `trial.start`"),
    ('days = 2', 'days = "2"', "line 4: `trial.days` should be a valid integer"),
    ('days = 2', 'days = 0', "line 4: `trial.days` should be greater than or equal to 1"),
    ('days = 2', 'dayz = 2', "line 4: unknown key `trial.dayz`. Did you mean `days`?"),
    ('"UTC"', '"Mars"', "line 5: `trial.timezone`: no such time zone 'Mars'"),
    ('platform = "export"', 'platform = "azure"', "line 7: `endpoints[0].platform` is 'azure'. Use one of aws-lambda"),
    ('format = "aws-lambda"', 'format = "xml"', "line 10: `endpoints[0].format` should be 'aws-lambda'"),
    ('path = "logs/*"', '', "missing key `endpoints[0].path`"),
    ('path = "logs/*"', 'path = "https://a?token=abcdef"', "line 11: `endpoints[0].path`: holds a password or a key"),
    ('[[endpoints]]', '[endpoints', "not TOML"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "says"), CONFIG, ids=[new or "no path" for _, new, _ in CONFIG])
def test_a_key_that_will_not_do(old, new, says, tmp_path, fortnight):
    (tmp_path / "trial.toml").write_text(TRIAL.format(format="aws-lambda").replace(old, new))
    for command in ("status", "collect"):
        code, out, lines = fortnight(tmp_path, command)
        assert (code, out, len(lines)) == (2, "", 1)
        assert says in lines[0]
    assert [p.name for p in tmp_path.iterdir()] == ["trial.toml"]


def test_a_price_the_book_does_not_have(tmp_path, fortnight):
    text = TRIAL.format(format="aws-lambda").replace('"aws-lambda-x86"', '"aws-lamda-x86"')
    (tmp_path / "trial.toml").write_text(text)
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "a.json").write_text(GOOD)
    code, out, lines = fortnight(tmp_path, "doctor")
    assert (code, len(lines)) == (1, 1)
    assert "Did you mean 'aws-lambda-x86'?" in " ".join(out.split())


def test_a_key_variable_that_is_not_set(trial_folder, fortnight, monkeypatch):
    monkeypatch.delenv("FORTNIGHT_TEST_KEY")
    code, out, lines = fortnight(trial_folder, "collect", "--day", "2026-11-02", "--no-publish")
    assert (code, out) == (2, "")
    assert "endpoint rp: the environment variable FORTNIGHT_TEST_KEY is not set. Run `export FORTNIGHT_TEST_KEY=...`" in lines[0]
    assert "k" * 40 not in lines[0]


def test_an_api_that_does_not_answer(trial_folder, fortnight):
    code, out, lines = fortnight(trial_folder, "doctor")
    assert (code, lines) == (0, []), "the lines are there; only the bill is missing"
    assert "no connection" in out
    assert "-> Check the network and api_endpoint, or try again later" in " ".join(out.split())


def test_credentials_that_are_missing(tmp_path, fortnight, monkeypatch):
    for name in [n for n in os.environ if n.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    source = 'platform = "aws-lambda"\nfunction = "f"\nregion = "us-east-1"\napi_endpoint = "http://127.0.0.1:9"'
    text = TRIAL.format(format="aws-lambda").replace('platform = "export"\nformat = "aws-lambda"\npath = "logs/*"', source)
    (tmp_path / "trial.toml").write_text(text)
    code, out, lines = fortnight(tmp_path, "doctor")
    assert (code, len(lines)) == (1, 1)
    assert "credentials" in out
