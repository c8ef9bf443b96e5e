"""Logs are written by whoever can send a request: hostile ids, names and files, from an export through to every output."""

import base64
import csv
import gzip
import html.parser
import io
import itertools
import json
import re
import subprocess
import sys
import time
import tracemalloc
import unicodedata
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import zstandard

from collectors import files
from collectors.export import lambda_files
from flows import collecting, publishing, results
from trial import config
from trial.errors import ConfigError, FortnightError, Malformed
from trial.store import Store

ROOT = Path(__file__).resolve().parents[1]
NOW = datetime(2026, 11, 4, 4, tzinfo=UTC)

HOSTILE = {
    "path": "../../../../tmp/escaped",
    "windows path": "..\\..\\escaped",
    "absolute": "/tmp/escaped",
    "hive": "x/day=2026-11-02/endpoint=other",
    "script": "<script>alert(1)</script>",
    "attribute": '"><img src=x onerror=alert(1)>',
    "end of script": "</script><script>alert(2)</script>",
    "template": "{{ 7 * 7 }}{% raw %}",
    "formula": "=cmd|' /C calc'!A0",
    "plus": "+1+1",
    "minus": "-1+1",
    "at": "@SUM(1)",
    "tab formula": "\t=1+1",
    "return formula": "\r=1+1",
    "full width": "＝1+1",
    "spaced formula": " =1+1",
    "newline": "a\n=1+1",
    "ansi": "\x1b[31mred\x1b[0m\x1b]0;title\x07",
    "c1": "\x9b31mred",
    "sql": "'; DROP TABLE runs; --",
    "nul": "a\x00b",
    "right to left": "\u202egnp.exe",
    "line separator": "a\u2028b",
    "markup": "[bold red]x[/bold red][/]",
    "markdown": "[click](javascript:alert(1))",
    "percent": "%s%n%(x)s",
    "jndi": "${jndi:ldap://127.0.0.1/x}",
    "long": "x" * 20_000,
    "combining": "a" + "\u0301" * 500,
}

TOML = """
[trial]
name = "hostile"
start = 2026-11-02
days = 2

[[endpoints]]
name = "e"
platform = "export"
format = "{format}"
path = "in/*"
price = "runpod-flex-4090"

[[dedicated]]
name = "g4dn.xlarge"
price = "sagemaker-ml.g4dn.xlarge"
"""


def trial_of(folder, format, data):
    (folder / "in").mkdir(parents=True)
    (folder / "in" / "x.log").write_bytes(data)
    (folder / "trial.toml").write_text(TOML.format(format=format))
    return config.load(folder / "trial.toml")


def collect(folder, format, data):
    trial = trial_of(folder, format, data)
    store = Store.at(trial.store_url)
    results.register(trial, store, now=NOW)
    (endpoint,) = trial.endpoints
    for span in collecting.plan(trial, store, endpoint, now=NOW):
        pulled = collecting.pull_days(trial, endpoint, span, now=NOW)
        for day in span:
            collecting.compute_day(trial, endpoint, day, pulled.usage[day], now=NOW)
    return trial, store


def lines():
    """Every hostile text as request id, as worker and as model; and in lines that are rejected and quarantined."""
    for n, text in enumerate(HOSTILE.values()):
        at = f"2026-11-0{2 + n % 2}T10:{n:02d}:00+00:00"
        line = {"fortnight": 1, "gpu_ms": 100.5, "handler_ms": 120.0, "cold_start": n % 3 == 0, "ts": at}
        yield {**line, "request_id": text, "instance": text, "model": text}
        yield {**line, "request_id": f"rejected {n}", "model": text, "gpu_ms": text}
        yield {**line, "request_id": f"quarantined {text}", "model": text, "ttft_ms": 9e7}


def run(*args, cwd):
    command = [sys.executable, "-c", "from flows.cli import main; main()", *args]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """A collected, reported and tracked trial whose every text was chosen by an enemy."""
    folder = tmp_path_factory.mktemp("outer") / "trial"
    trial, _ = collect(folder, "runpod", "".join(json.dumps(line) + "\n" for line in lines()).encode())
    publishing.publish(trial, now=NOW)
    return folder


def test_every_line_is_accounted_for(hostile):
    store = Store.at(str(hostile / "fortnight-data"))
    totals = [m.summary.ledger_totals() for m in store.manifests("e")]
    assert sum(t["read"] for t in totals) == 3 * len(HOSTILE)
    ids = set(store.table("invocations", "e")["request_id"].to_pylist()) | set(store.table("quarantine", "e")["request_id"].to_pylist())
    assert set(HOSTILE.values()) <= ids


def test_no_file_is_written_anywhere_but_where_it_belongs(hostile):
    known = re.compile(
        r"(raw|invocations|instances|quarantine)/endpoint=e/day=2026-11-0\d/(source=[a-z-]+/)?[0-9a-f]{64}\.(ndjson\.zst|parquet)"
        r"|days/endpoint=e/day=2026-11-0\d\.json|pulls/endpoint=e/day=[\d-]+\.ndjson"
        r"|registration\.json|chain\.ndjson|\.locks/[\w.-]+|mlflow\.db|(report|mlflow-artifacts|mlartifacts|artifacts|mlruns)/[\w./=-]+"
    )
    data = hostile / "fortnight-data"
    odd = [str(p.relative_to(data)) for p in data.rglob("*") if p.is_file() and not known.fullmatch(str(p.relative_to(data)))]
    assert odd == []
    assert {p.name for p in hostile.iterdir()} <= {"in", "trial.toml", "fortnight-data"}
    assert [p.name for p in hostile.parent.iterdir()] == ["trial"]
    assert not Path("/tmp/escaped").exists()


def obeyed(text):
    """Characters a terminal or a reader's eye would obey rather than show."""
    return sorted(
        {
            c
            for c in text
            if c != "\n"
            and (unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") or c in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
        }
    )


@pytest.mark.parametrize(
    "args", [["status"], ["status", "--rejected"], ["verdict"], ["whatif"], ["verdict", "--plan"], ["verify"]], ids=" ".join
)
def test_what_a_terminal_is_shown_holds_nothing_it_would_obey(args, hostile):
    done = run(*args, cwd=hostile)
    assert "Traceback" not in done.stderr
    assert obeyed(done.stdout) == []
    assert obeyed(done.stderr) == []


def test_no_cell_of_the_csv_is_a_formula(hostile, tmp_path):
    assert run("export", "--out", str(tmp_path / "x.csv"), cwd=hostile).returncode == 0
    rows = list(csv.reader(io.StringIO((tmp_path / "x.csv").read_bytes().decode(), newline="")))
    assert len(rows) > len(HOSTILE)
    numeric = re.compile(r"-?\d+(\.\d+)?(e[+-]?\d+)?")
    formulas = [
        cell for row in rows for cell in row if cell.lstrip(" \n")[:1] in tuple("=+-@\t\r＝＋－＠") and cell and not numeric.fullmatch(cell)
    ]
    assert formulas == []


@pytest.mark.parametrize("ending", ["csv", "json", "parquet"])
def test_an_export_of_hostile_rows_can_be_read_back(ending, hostile, tmp_path):
    assert run("export", "--out", str(tmp_path / f"x.{ending}"), cwd=hostile).returncode == 0
    again = tmp_path / "again"
    _, store = collect(again, "invocations", (tmp_path / f"x.{ending}").read_bytes())
    stored = Store.at(str(hostile / "fortnight-data")).table("invocations", "e").num_rows
    assert store.table("invocations", "e").num_rows == stored


class Page(html.parser.HTMLParser):
    """What a browser would run or fetch."""

    def __init__(self):
        super().__init__()
        self.scripts, self.handlers, self.links, self.tags = [], [], [], set()
        self._in_script = False

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self._in_script = tag == "script"
        self.handlers += [(tag, name) for name, _ in attrs if name.startswith("on")]
        self.links += [v for name, v in attrs if name in ("href", "src", "xlink:href") and v]

    def handle_endtag(self, tag):
        self._in_script = False

    def handle_data(self, data):
        if self._in_script:
            self.scripts.append(data)


def test_the_report_shows_hostile_names_and_runs_none(hostile):
    text = (hostile / "fortnight-data" / "report" / "report.html").read_text(encoding="utf-8")
    page = Page()
    page.feed(text)
    assert page.handlers == []
    assert not any("alert" in script for script in page.scripts)
    assert [link for link in page.links if "javascript:" in link.lower()] == []
    assert not {"iframe", "object", "embed", "form"} & page.tags
    assert "<img src=x" not in text
    assert "alert(1)" in text, "the model's name is shown, as text"
    assert "49" not in re.findall(r">\s*(49)\s*<", text)


def test_hostile_models_are_values_in_mlflow_and_never_commands(hostile):
    import sqlite3

    with sqlite3.connect(hostile / "fortnight-data" / "mlflow.db") as database:
        tables = {row[0] for row in database.execute("select name from sqlite_master where type = 'table'")}
        runs = database.execute("select count(*) from runs").fetchone()[0]
        artifacts = [row[0] for row in database.execute("select artifact_uri from runs")]
        names = [row[0] for row in database.execute("select distinct key from metrics union select distinct key from params")]
    database.close()
    assert {"runs", "metrics", "params", "tags"} <= tables
    assert runs > 0
    assert all(str(hostile) in uri for uri in artifacts)
    assert [name for name in names if not re.fullmatch(r"[\w./ :-]{1,250}", name) or ".." in name] == []


@pytest.mark.parametrize("format", ["runpod", "aws-lambda", "cloud-run", "replicate", "invocations"])
def test_every_format_takes_hostile_texts_or_says_so_in_one_line(format, tmp_path):
    for n, text in enumerate([*HOSTILE.values(), "\ud800"]):
        at = "2026-11-02T10:00:00Z"
        item = {
            "runpod": {
                "ts": at,
                "id": text,
                "status": text if n % 2 else "COMPLETED",
                "workerId": text,
                "executionTime": 5,
                "delayTime": 1,
            },
            "aws-lambda": {
                "events": [
                    {"logStreamName": text or "s", "timestamp": 1793613600000, "message": f"REPORT RequestId: {text}", "eventId": "1"},
                    {"logStreamName": text, "timestamp": 1793613600000, "message": text, "eventId": "2"},
                    {
                        "logStreamName": "2026/11/02/[$LATEST]aa",
                        "timestamp": 1793613600000,
                        "message": json.dumps({"fortnight": 1, "request_id": text, "gpu_ms": 3, "model": text}),
                        "eventId": text,
                    },
                ]
            },
            "cloud-run": {
                "logName": "projects/p/logs/run.googleapis.com%2Frequests",
                "timestamp": at,
                "insertId": text,
                "trace": text,
                "labels": {"instanceId": text},
                "resource": {"type": "cloud_run_revision", "labels": {"revision_name": text}},
                "httpRequest": {"requestMethod": "POST", "requestUrl": f"https://x/{text}", "status": 200, "latency": "0.5s"},
            },
            "replicate": {"id": text, "created_at": at, "status": "succeeded", "model": text, "metrics": {"predict_time": 1.5}},
            "invocations": {"request_id": text, "started_at": at, "model": text, "instance_id": text, "cold": "cold"},
        }[format]
        data = json.dumps(item)
        if text == "\ud800" and format == "runpod":
            # No JSON that anybody can keep, so it has no time of its own: it is dated by the line above it.
            data = f"{at} x\n{data}"
        try:
            _, store = collect(tmp_path / str(n), format, data.encode())
        except FortnightError as exc:
            assert "\n" not in str(exc)
            continue
        assert sum(m.summary.ledger_totals()["read"] for m in store.manifests("e")) > 0


LONG = "y" * (1 << 20)
AT = "2026-11-02T10:00:00Z"


@pytest.mark.parametrize(
    ("format", "data"),
    [
        ("runpod", f'{{"fortnight":1,"request_id":"a","gpu_ms":3,"ts":"{AT}"}}\n{AT} {LONG}\n{AT} {{"x":"{LONG}"}}\n'),
        ("aws-lambda", f'{AT} REPORT RequestId: {LONG}\n{AT} {LONG}\n{AT} {{"fortnight":1,"request_id":"{LONG}","gpu_ms":3}}\n'),
        ("cloud-run", json.dumps([{"logName": "projects/p/logs/x", "timestamp": AT, "insertId": "1", "textPayload": LONG * 2}])),
        ("replicate", json.dumps([{"id": LONG, "created_at": AT, "status": "succeeded", "model": LONG}])),
    ],
)
def test_lines_of_a_megabyte_and_more_are_bounded(format, data, tmp_path):
    tracemalloc.start()
    try:
        _, store = collect(tmp_path / "t", format, data.encode())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert sum(m.summary.ledger_totals()["read"] for m in store.manifests("e")) > 0
    assert peak < 120 << 20


def test_many_lines_of_a_megabyte_take_no_more_memory_than_few(tmp_path):
    (tmp_path / "x.jsonl").write_text(f"{AT} {LONG}\n" * 60)
    tracemalloc.start()
    try:
        sizes = [len(line.data) for line in files.open_lines("x.jsonl", folder=tmp_path)]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(sizes) == 60
    assert max(sizes) == files.MAX_LINE_BYTES + 1
    assert peak < 8 << 20


def gzip_bomb(megabytes):
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb", mtime=0) as stream:
        for _ in range(megabytes):
            stream.write(bytes(1 << 20))
    return out.getvalue()


def zstd_bomb(megabytes):
    return zstandard.ZstdCompressor(level=3).compress(b"A" * (megabytes << 20))


@pytest.mark.parametrize("format", ["runpod", "aws-lambda", "cloud-run", "invocations"])
@pytest.mark.parametrize("bomb", [gzip_bomb, zstd_bomb, lambda n: gzip.compress(gzip_bomb(n))], ids=["gzip", "zstd", "gzip in gzip"])
def test_a_file_that_unpacks_without_end_is_refused_soon(format, bomb, tmp_path):
    data = bomb(300)
    began = time.monotonic()
    with pytest.raises(Malformed) as caught:
        collect(tmp_path / "t", format, data)
    assert time.monotonic() - began < 20
    assert "\n" not in str(caught.value)


def test_a_bomb_inside_a_subscription_record_is_refused_soon(tmp_path):
    """Packed again in base64, where the file around it stands in proportion."""
    packed = base64.b64encode(gzip_bomb(300)).decode()
    for data in (packed, json.dumps({"awslogs": {"data": packed}}), json.dumps({"records": [{"data": packed}]})):
        tracemalloc.start()
        try:
            with pytest.raises(Malformed) as caught:
                collect(tmp_path / str(len(data)), "aws-lambda", data.encode())
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert "\n" not in str(caught.value)
        assert peak < 200 << 20


def test_a_message_without_end_in_an_export_task_is_bounded(tmp_path):
    folder = tmp_path / "in" / "2026-11-02-[$LATEST]aa"
    folder.mkdir(parents=True)
    (folder / "000000.gz").write_bytes(f"{AT[:-1]}.000Z begins\n".encode() + b"goes on and on\n" * 400_000)
    (source,) = files.match_files("in/**/*.gz", folder=tmp_path)
    (event,) = lambda_files.events(source)
    assert event.payload.startswith("begins\ngoes on")
    assert len(event.payload) < files.MAX_LINE_BYTES + 100


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("\x1b[31mred\x07.json", b"[1]"),
        ("two\nlines.json", b"{"),
        ("keys.json", json.dumps([{HOSTILE["ansi"]: 1, "a\nb": 2}]).encode()),
        ("column.csv", b"started_at,\x1b[2J\nx,y\n"),
    ],
)
@pytest.mark.parametrize("format", ["aws-lambda", "cloud-run", "replicate", "invocations"])
def test_what_an_error_quotes_of_a_file_is_one_line_that_no_terminal_obeys(format, name, data, tmp_path):
    trial = trial_of(tmp_path / "t", format, b"")
    (tmp_path / "t" / "in" / "x.log").unlink()
    (tmp_path / "t" / "in" / name).write_bytes(data)
    with pytest.raises(Malformed) as caught:
        collecting.pull_days(trial, trial.endpoints[0], (date(2026, 11, 2),), now=NOW)
    assert not re.search(r"[\x00-\x1f\x7f-\x9f]", str(caught.value))


@pytest.mark.parametrize("innocent", [0, 1 << 16], ids=["from its start", "after an innocent beginning"])
def test_what_unpacks_to_gigabytes_is_never_held_whole(innocent, tmp_path):
    beginning = b"".join(b"%d\n" % (n * n) for n in range(innocent))
    (tmp_path / "x.zst").write_bytes(zstandard.ZstdCompressor().compress(beginning) + zstd_bomb(300))
    tracemalloc.start()
    try:
        with pytest.raises(Malformed, match="200 times"):
            for _ in files.open_lines("x.zst", folder=tmp_path):
                pass
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 150 << 20


def test_a_well_packed_log_is_no_bomb(tmp_path):
    line = '{"fortnight":1,"request_id":"%d","gpu_ms":231.7,"handler_ms":250.1,"ts":"2026-11-02T10:00:00.%06dZ"}\n'
    text = "".join(line % (n, n) for n in range(250_000)).encode()
    assert len(text) > files.UNPACKED_ALWAYS
    (tmp_path / "x.gz").write_bytes(gzip.compress(text, 6))
    (tmp_path / "x.zst").write_bytes(zstandard.ZstdCompressor(level=9).compress(text[: files.UNPACKED_ALWAYS + (1 << 20)]))
    assert sum(1 for _ in files.open_lines("x.gz", folder=tmp_path)) == 250_000
    assert sum(1 for _ in files.open_lines("x.zst", folder=tmp_path)) > 150_000


def deep(n, kind):
    return "[" * n + "]" * n if kind == "list" else '{"a":' * n + "1" + "}" * n


NESTED = {
    "runpod": '{{"fortnight":1,"request_id":"a","gpu_ms":3,"ts":"2026-11-02T10:00:00Z","x":{x}}}\n{x}\n',
    "runpod jobs": '[{{"ts":"2026-11-02T10:00:00Z","id":"j","status":"COMPLETED","executionTime":1,"output":{x}}}]',
    "aws-lambda": '2026-11-02T10:00:00Z {{"fortnight":1,"request_id":"a","x":{x}}}\n2026-11-02T10:00:00Z {{"message":{x}}}\n',
    "aws-lambda json": '{{"events":[{{"logStreamName":"s","timestamp":1793613600000,"message":"x","eventId":"1","y":{x}}}]}}',
    "cloud-run": '[{{"logName":"projects/p/logs/x","timestamp":"2026-11-02T10:00:00Z","jsonPayload":{{"x":{x}}}}}]',
    "replicate": '[{{"id":"1","created_at":"2026-11-02T10:00:00Z","status":"succeeded","metrics":{x}}}]',
    "invocations": '[{{"request_id":"1","started_at":"2026-11-02T10:00:00Z","model":{x}}}]',
}


@pytest.mark.parametrize("case", NESTED)
def test_deep_nesting_is_taken_or_refused_in_one_line(case, tmp_path):
    taken = 0
    for n, kind in itertools.product((200, 300, 900, 1020, 5000, 100_000), ("list", "dict")):
        try:
            _, store = collect(tmp_path / f"{n}{kind}", case.split()[0], NESTED[case].format(x=deep(n, kind)).encode())
        except Malformed as exc:
            assert "\n" not in str(exc)
            continue
        taken += sum(m.summary.ledger_totals()["read"] for m in store.manifests("e"))
    assert taken > 0 or case == "invocations"


@pytest.mark.parametrize("depth", [500, 100_000])
def test_deep_nesting_in_the_configuration_and_the_price_book_is_one_line(depth, tmp_path):
    from analysis import prices

    nested = f"x = {'[' * depth}{']' * depth}\n"
    with pytest.raises(ConfigError) as caught:
        config.parse(nested, path=tmp_path / "trial.toml")
    assert "\n" not in str(caught.value)
    (tmp_path / "book.toml").write_text(nested)
    with pytest.raises(ConfigError) as caught:
        prices.load("book.toml", folder=tmp_path)
    assert "\n" not in str(caught.value)


def test_names_that_would_lead_out_of_the_store_are_refused():
    for name in ("../x", "a/b", ".", "..", "", "a\x00b", "-x", "x" * 64, "a b", "naïve"):
        text = TOML.format(format="runpod").replace('name = "e"', f"name = {json.dumps(name)}")
        with pytest.raises(ConfigError):
            config.parse(text, path=Path("trial.toml"))


@pytest.mark.parametrize(
    "word",
    [r"\bpickle\b", r"\beval\(", r"\bexec\(", r"shell\s*=\s*True", r"os\.system", r"yaml\.load\(", r"allow_pickle=True", r"\b0\.0\.0\.0\b"],
)
def test_no_pickle_no_eval_no_shell_and_no_open_door(word):
    rooms = ("trial", "collectors", "expectations", "analysis", "reports", "flows", "sandbox")
    found = []
    for room in rooms:
        for path in (ROOT / room).rglob("*.py"):
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
                code = line.split("#", 1)[0]
                if re.search(word, code) and not re.search(r'^\s*("""|\'\'\'|[A-Za-z ]+\.)', code):
                    found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()}")
    assert found == []


def test_stored_tables_hold_what_was_logged(hostile):
    """Escaping belongs where a text is shown, not where it is kept."""
    path = next((hostile / "fortnight-data" / "invocations").rglob("*.parquet"))
    assert set(pq.read_table(path)["model"].to_pylist()) <= set(HOSTILE.values())
