"""What collecting took: one line a pull, whole after every write, and named where it is damaged."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from trial import pulls
from trial.errors import StoreError
from trial.files import Files
from trial.meter import Meter

NOW = datetime(2026, 11, 6, 4, tzinfo=UTC)


def pull(at=NOW, **kwargs):
    meter = Meter(calls=3, bytes=2000, events=70, throttles=1, metrics=6)
    return pulls.of(meter, at=at, what="days", days=[date(2026, 11, 5), date(2026, 11, 4)], **kwargs)


def test_every_pull_is_a_line_in_the_order_it_was_made(tmp_path):
    files = Files.at(str(tmp_path))
    made = [pull(), pull(failed=True), pull(at=NOW + timedelta(days=1))]
    for one in made:
        pulls.record(files, endpoint="e", pull=one)
    assert pulls.read(files, endpoint="e") == made
    assert (made[0].first, made[0].last) == (date(2026, 11, 4), date(2026, 11, 5))
    assert files.list("pulls") == ["pulls/endpoint=e/day=2026-11-06.ndjson", "pulls/endpoint=e/day=2026-11-07.ndjson"]


def test_endpoints_whose_names_begin_alike_are_kept_apart(tmp_path):
    files = Files.at(str(tmp_path))
    pulls.record(files, endpoint="run-2", pull=pull())
    assert pulls.read(files, endpoint="run") == []


def test_the_file_is_named_by_the_utc_day(tmp_path):
    files = Files.at(str(tmp_path))
    pulls.record(files, endpoint="e", pull=pull(at=datetime(2026, 11, 6, 1, tzinfo=timezone(timedelta(hours=5)))))
    assert files.list("pulls") == ["pulls/endpoint=e/day=2026-11-05.ndjson"]


@pytest.mark.parametrize("line", [b"{", b"[]", b'{"at": "2026-11-06T04:00:00+00:00"}', b"\xff"])
def test_a_damaged_line_names_its_file(tmp_path, line):
    files = Files.at(str(tmp_path))
    files.write("pulls/endpoint=e/day=2026-11-06.ndjson", line + b"\n")
    with pytest.raises(StoreError, match="pulls/endpoint=e/day=2026-11-06.ndjson: a line is not what a pull writes"):
        pulls.read(files, endpoint="e")
