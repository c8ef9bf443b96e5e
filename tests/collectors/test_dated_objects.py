from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyarrow.fs as pafs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.dated_objects import EARLY, FOLDERS, LATE, STREAM_LIFE, may_touch, span_of, touching
from trial.calendar import Window
from trial.errors import Denied, NotFound

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
WINDOW = Window(start=datetime(2026, 11, 5, tzinfo=UTC), end=datetime(2026, 11, 6, tzinfo=UTC))


@pytest.mark.parametrize(
    ("path", "begin", "length"),
    [
        ("2026/11/05/10/summ-1-2026-11-05-10-05-12-0a.gz", "2026-11-05T10", HOUR),
        ("2026/11/05/summ.gz", "2026-11-05", DAY),
        ("2026/11", "2026-11-01", timedelta(days=30)),
        ("2026/12/", "2026-12-01", timedelta(days=31)),
        ("year=2026/month=11/day=05/hour=10/a", "2026-11-05T10", HOUR),
        ("dt=2026-11-05/a.gz", "2026-11-05", DAY),
        ("lambda/2026-11-05/10/a.gz", "2026-11-05T10", HOUR),
        ("2026-11-05T10/a.gz", "2026-11-05T10", HOUR),
        ("run.googleapis.com/requests/2026/11/05/10:00:00_10:59:59_S0.json", "2026-11-05T10", HOUR),
        ("run.googleapis.com/varlog/system/2026/11/05/10:00:00_10:59:59_A3:1.json", "2026-11-05T10", HOUR),
        ("0a1b-task/2026-11-05-[$LATEST]00ff/000000.gz", "2026-11-05", DAY + STREAM_LIFE),
        ("0a1b-task/2026-11-05-summ[3]00ff/000000.gz", "2026-11-05", DAY + STREAM_LIFE),
        ("summ/all.json.gz", None, None),
        ("2048/summ.gz", None, None),
        ("2026", None, None),
        ("2026/02/30/a.gz", None, None),
        ("0a1b2c3d-2026-task/summ/000000.gz", None, None),
        ("2026-11-05.json", None, None),
    ],
)
def test_dates_in_paths(path, begin, length):
    at = begin and datetime.fromisoformat(begin).replace(tzinfo=UTC)
    assert span_of(path) == (at and (at, at + length))


WRITTEN = (
    "{:%Y/%m/%d/%H}/a.gz",
    "{:%Y/%m/%d}/a.gz",
    "y={:%Y/m=%m/d=%d/h=%H}/a",
    "{:dt=%Y-%m-%d}/a",
    "l/{:%Y/%m/%d/%H:00:00_%H:59:59}_S0.json",
)


@given(
    hours=st.integers(0, 24 * 60 - 1),
    arrived=st.floats(0, 24),
    length=st.integers(1, 72),
    begin=st.integers(-72, 72),
    how=st.sampled_from(WRITTEN),
)
def test_no_object_with_an_event_of_the_window_is_passed_over(hours, arrived, length, begin, how):
    """Its event is of the window and arrived up to a day later: the object is listed, and so is each folder above it."""
    at = datetime(2026, 10, 20, tzinfo=UTC) + timedelta(hours=hours)
    window = Window(start=at + begin * HOUR, end=at + (begin + length) * HOUR)
    if at not in window:
        return
    parts = how.format(at + timedelta(hours=arrived)).split("/")
    assert all(may_touch("/".join(parts[:n]), window=window) for n in range(1, len(parts) + 1))


def test_what_cannot_touch_is_passed_over():
    assert not may_touch(f"{WINDOW.end + LATE:%Y/%m/%d/%H}", window=WINDOW)
    assert not may_touch(f"{WINDOW.start - EARLY - HOUR:%Y/%m/%d/%H}", window=WINDOW)
    assert not may_touch("2026/12", window=WINDOW)
    assert not may_touch("t/2026-10-15-[$LATEST]aa/000000.gz", window=WINDOW)
    assert may_touch("t/2026-10-22-[$LATEST]aa/000000.gz", window=WINDOW)


def put(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def test_only_folders_that_can_touch_are_listed(tmp_path):
    put(
        tmp_path,
        *(f"hose/2026/{month:02d}/{day:02d}/{hour:02d}/a.gz" for month in (10, 11, 12) for day in (4, 5, 6, 20) for hour in (0, 12)),
    )
    asked = []

    local = pafs.LocalFileSystem()

    class Counted:
        def get_file_info(self, selector):
            asked.append(selector.base_dir.removeprefix(str(tmp_path)))
            return local.get_file_info(selector)

    found = touching("s3://hose", WINDOW, folder=tmp_path, connect=lambda _: (Counted(), str(tmp_path / "hose")))
    assert [s.name for s in found] == [f"2026/11/{d}/{h}/a.gz" for d, h in (("05", "00"), ("05", "12"), ("06", "00"), ("06", "12"))]
    assert asked == [
        "/hose",
        "/hose/2026",
        "/hose/2026/11",
        "/hose/2026/11/04",
        *(f"/hose/2026/11/{d}{h}" for d in ("05", "06") for h in ("", "/00", "/12")),
    ]


def test_many_folders_side_by_side_are_listed_at_once(tmp_path):
    put(
        tmp_path,
        *(f"task/2026-11-05-[$LATEST]{n:04x}/000000.gz" for n in range(FOLDERS + 1)),
        "task/2026-10-15-[$LATEST]00/000000.gz",
        "aws-logs-write-test",
    )
    found = touching(".", WINDOW, folder=tmp_path)
    assert len(found) == FOLDERS + 2
    assert found[-1].name == f"task/2026-11-05-[$LATEST]{FOLDERS:04x}/000000.gz"


def test_nothing_at_all_is_an_error_and_nothing_of_the_window_is_none(tmp_path):
    put(tmp_path, "hose/2026/10/01/00/a.gz")
    assert touching("hose", WINDOW, folder=tmp_path) == []
    with pytest.raises(NotFound, match="nothing lies under it"):
        touching("hoes", WINDOW, folder=tmp_path)


def test_an_object_written_before_the_window_began_is_passed_over(tmp_path):
    import os

    put(tmp_path, "all/a.gz", "all/b.gz")
    os.utime(tmp_path / "all/a.gz", (0, (WINDOW.start - DAY).timestamp()))
    os.utime(tmp_path / "all/b.gz", (0, WINDOW.end.timestamp()))
    found = touching("s3://all", WINDOW, folder=tmp_path, connect=lambda _: (pafs.LocalFileSystem(), str(tmp_path / "all")))
    assert [s.name for s in found] == ["b.gz"]
    assert len(touching("all", WINDOW, folder=tmp_path)) == 2


def test_a_bucket_that_is_not_there_and_one_that_may_not_be_listed(tmp_path):
    def refused(_):
        raise OSError(
            "When listing objects under key 'hose' in bucket 'b': AWS Error ACCESS_DENIED during ListObjectsV2 operation: Access Denied"
        )

    with pytest.raises(Denied, match=r"s3://b/hose: not permitted to read it. Grant s3:ListBucket on it"):
        touching("s3://b/hose", WINDOW, folder=tmp_path, connect=refused)
