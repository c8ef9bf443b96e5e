from __future__ import annotations

import gzip
import io
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from collectors.files import open_lines, split_lines, text_of
from trial.errors import Denied, Malformed, NotFound, Unreachable


def numbers_and_data(pattern: str, folder: Path):
    return [(Path(line.file).name, line.number, line.data) for line in open_lines(pattern, folder=folder)]


def test_files_in_order_of_name_with_line_numbers(tmp_path):
    (tmp_path / "b.jsonl").write_bytes(b"b1\n")
    (tmp_path / "a.jsonl").write_bytes(b"a1\r\n\r\na3")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "c.jsonl").write_bytes(b"c1")
    assert numbers_and_data("*.jsonl", tmp_path) == [
        ("a.jsonl", 1, b"a1"),
        ("a.jsonl", 2, b""),
        ("a.jsonl", 3, b"a3"),
        ("b.jsonl", 1, b"b1"),
    ]
    assert numbers_and_data("**/*.jsonl", tmp_path)[-1] == ("c.jsonl", 1, b"c1")
    assert numbers_and_data(str(tmp_path / "b.jsonl"), Path("/nowhere")) == [("b.jsonl", 1, b"b1")]


@pytest.mark.parametrize(
    "pack",
    [
        gzip.compress,
        zstandard.compress,
        lambda d: gzip.compress(d[:4]) + gzip.compress(d[4:]),
        lambda d: zstandard.compress(d[:4]) + zstandard.compress(d[4:]),
    ],
)
def test_compressed_by_content_whatever_the_name(tmp_path, pack):
    (tmp_path / "a.log").write_bytes(pack(b"\xef\xbb\xbfone\ntwo"))
    assert [d for _, _, d in numbers_and_data("a.log", tmp_path)] == [b"one", b"two"]


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_compressed_data_that_breaks_off(tmp_path, pack):
    data = pack(os.urandom(100_000))
    (tmp_path / "a.log").write_bytes(data[: len(data) // 2])
    with pytest.raises(Malformed, match=r"a\.log: compressed data"):
        numbers_and_data("a.log", tmp_path)


def test_nothing_matches(tmp_path):
    with pytest.raises(NotFound, match=r"\*\.jsonl: no file matches"):
        numbers_and_data("*.jsonl", tmp_path)
    with pytest.raises(NotFound):
        numbers_and_data("a-folder-that-is-not/x.log", tmp_path)


def test_a_file_that_may_not_be_read(tmp_path):
    if os.geteuid() == 0:
        pytest.skip("root reads everything")
    (tmp_path / "a.log").write_bytes(b"x")
    (tmp_path / "a.log").chmod(0)
    with pytest.raises(Denied):
        numbers_and_data("a.log", tmp_path)


def test_a_file_name_with_glob_characters(tmp_path):
    (tmp_path / "2026[1].log").write_bytes(b"x")
    assert numbers_and_data("2026[1].log", tmp_path) == [("2026[1].log", 1, b"x")]


def test_modified_at_is_told(tmp_path):
    (tmp_path / "a.log").write_bytes(b"x")
    os.utime(tmp_path / "a.log", (1_790_000_000, 1_790_000_000))
    assert next(iter(open_lines("a.log", folder=tmp_path))).modified_at == datetime.fromtimestamp(1_790_000_000, UTC)


@given(
    st.binary(max_size=400).filter(lambda b: not b.startswith(b"\xef"))
    | st.lists(st.sampled_from([b"a", b"\n", b"\r\n", b"\r"])).map(b"".join),
    st.integers(1, 40),
    st.integers(1, 7),
)
def test_lines_are_those_of_the_whole_whatever_the_chunks(data, limit, step):
    class Drip(io.RawIOBase):
        """Gives few bytes at a time, as networks do."""

        def __init__(self):
            self.rest = data

        def read(self, size=-1):
            out, self.rest = self.rest[:step], self.rest[step:]
            return out

    expected = data.split(b"\n")
    if expected[-1] == b"":
        expected.pop()
    got = list(split_lines(Drip(), limit=limit))
    # The line end's CR counts to the length, so it stays on a line that is too long by just that.
    assert len(got) == len(expected)
    for line, whole in zip(got, expected, strict=True):
        assert line in (whole.removesuffix(b"\r")[: limit + 1], whole[: limit + 1])


def test_a_huge_line_is_cut_in_flat_memory():
    class Endless(io.RawIOBase):
        left = 300

        def read(self, size=-1):
            self.left -= 1
            return b"x" * 65536 if self.left > 0 else b""

    (line,) = split_lines(Endless())
    assert len(line) == (1 << 20) + 1


def test_text_keeps_what_is_not_utf8_visible():
    assert text_of(b"ok \xff\x00") == "ok \ufffd\x00"


@pytest.fixture(scope="module")
def s3():
    moto_server = pytest.importorskip("moto.server")
    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def test_object_storage(s3, monkeypatch):
    import boto3

    for name, value in (("AWS_ACCESS_KEY_ID", "k"), ("AWS_SECRET_ACCESS_KEY", "s"), ("AWS_DEFAULT_REGION", "us-east-1")):
        monkeypatch.setenv(name, value)
    client = boto3.client("s3", endpoint_url=s3)
    client.create_bucket(Bucket="acme-logs")
    client.put_object(Bucket="acme-logs", Key="summ/b.jsonl", Body=b"b1\nb2\n")
    client.put_object(Bucket="acme-logs", Key="summ/a.jsonl.gz", Body=gzip.compress(b"a1\n"))
    client.put_object(Bucket="acme-logs", Key="summ/readme.txt", Body=b"no")
    client.close()
    at = f"?endpoint_override={s3}"
    lines = [(line.file, line.data) for line in open_lines(f"s3://acme-logs/summ/*.jsonl*{at}")]
    assert lines == [
        ("s3://acme-logs/summ/a.jsonl.gz", b"a1"),
        ("s3://acme-logs/summ/b.jsonl", b"b1"),
        ("s3://acme-logs/summ/b.jsonl", b"b2"),
    ]
    assert [line.data for line in open_lines(f"s3://acme-logs/summ/b.jsonl{at}")] == [b"b1", b"b2"]
    with pytest.raises(NotFound, match="no file matches"):
        list(open_lines(f"s3://acme-logs/none/*{at}"))
    with pytest.raises((NotFound, Unreachable)):
        list(open_lines(f"s3://no-such-bucket/none/x{at}"))
