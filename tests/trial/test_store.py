import random
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trial import raw, schema
from trial.errors import ConfigError, StoreError
from trial.files import Files
from trial.records import Invocation, RawEvent
from trial.store import Store
from trial.summary import DaySummary

DAY = date(2026, 11, 3)
NOON = datetime(2026, 11, 3, 12, tzinfo=UTC)


def event(n, *, payload=None, at=None):
    return RawEvent(
        source="logs", stream=f"s{n % 3}", event_id=f"{n:04}", at=at or NOON + timedelta(milliseconds=n), payload=payload or f"line {n}"
    )


def utc_day(at):
    return at.date()


def merge(files, events):
    return {day: new for (day, _), new in raw.merge(files, endpoint="e", events=events, day_of=utc_day).items()}


def stored(files):
    return list(raw.read(files, endpoint="e", day=DAY, source="logs"))


def snapshot(root):
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_events_come_back_as_they_went_in_and_in_order(tmp_path):
    files = Files.at(str(tmp_path))
    events = [event(n) for n in range(10)] + [event(11, payload={"a": [1, None, "x"], "big": 2**70, "odd": "\ud800"})]
    assert merge(files, reversed(events)) == {DAY: 11}
    assert stored(files) == events


def test_a_pull_is_split_by_day(tmp_path):
    files = Files.at(str(tmp_path))
    late = event(1, at=datetime(2026, 11, 4, 0, 0, tzinfo=UTC))
    assert merge(files, [event(0), late]) == {DAY: 1, date(2026, 11, 4): 1}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, 30), min_size=1, max_size=60), st.randoms(use_true_random=False), st.integers(1, 4))
def test_any_order_lateness_and_repetition_gives_the_same_bytes(tmp_path_factory, ids, shuffler, pulls):
    """Copies count within one pull, so every pull but the first here repeats no event."""
    one, many = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("many")
    merge(Files.at(str(one)), [event(n) for n in ids])
    shuffled = ids[:]
    shuffler.shuffle(shuffled)
    distinct = sorted(set(ids))
    merge(Files.at(str(many)), [event(n) for n in distinct[: len(distinct) // 2]])
    for _ in range(pulls):
        merge(Files.at(str(many)), [event(n) for n in shuffled])
    assert snapshot(one) == snapshot(many)


def test_copies_within_a_pull_are_counted_and_reading_again_changes_nothing(tmp_path):
    files = Files.at(str(tmp_path))
    merge(files, [event(1), event(1), event(2)])
    merge(files, [event(1), event(2)])
    assert [e.copies for e in stored(files)] == [2, 1]


@pytest.mark.parametrize("fan_in", [2, 3, 64])
def test_many_runs_merge(tmp_path, monkeypatch, fan_in):
    """In one step, and in several levels of them."""
    monkeypatch.setattr(raw, "RUN_EVENTS", 7)
    monkeypatch.setattr(raw, "FAN_IN", fan_in)
    files = Files.at(str(tmp_path))
    events = [event(n) for n in range(100)]
    shuffled = events * 2
    random.Random(3).shuffle(shuffled)
    assert merge(files, shuffled) == {DAY: 100}
    assert [e.copies for e in stored(files)] == [2] * 100


def test_a_merge_that_died_before_its_sweep_is_united_on_reading(tmp_path):
    files = Files.at(str(tmp_path))
    merge(files, [event(1)])
    first = {name: files.read(name) for name in raw.names(files, endpoint="e", day=DAY)}
    merge(files, [event(1), event(2)])
    for name, data in first.items():
        files.write(name, data)
    assert [e.event_id for e in stored(files)] == ["0001", "0002"]


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"not zstd", lambda b: b""], ids=["cut", "foreign", "empty"])
def test_damaged_raw_says_which_file(tmp_path, damage):
    files = Files.at(str(tmp_path))
    merge(files, [event(n) for n in range(200)])
    (name,) = raw.names(files, endpoint="e", day=DAY)
    files.write(name, damage(files.read(name)))
    with pytest.raises(StoreError, match="damaged raw events"):
        stored(files)


def invocations(n):
    rows = [
        Invocation(platform="aws-lambda", endpoint="e", day=DAY, request_id=str(i), instance_id="i", started_at=NOON, cold="warm")
        for i in range(n)
    ]
    return schema.invocations_table(rows)


def summary(n):
    return DaySummary(endpoint="e", platform="aws-lambda", days=(DAY,), requests=n)


def write(store, n):
    with store.day_writer("e", DAY) as writer:
        writer.add("invocations", invocations(n))
        return writer.commit(summary(n))


def test_a_day_is_replaced_never_added_and_twice_is_the_same_bytes(tmp_path):
    store = Store.at(str(tmp_path))
    assert write(store, 3) is True
    before = snapshot(tmp_path)
    assert write(store, 3) is False
    assert snapshot(tmp_path) == before
    assert write(store, 2) is True
    assert store.table("invocations", "e").num_rows == 2
    assert len([p for p in snapshot(tmp_path) if p.startswith("invocations")]) == 1
    assert store.manifest("e", DAY).summary.requests == 2
    assert store.days("e") == [DAY]


def test_an_uncommitted_day_leaves_nothing(tmp_path):
    store = Store.at(str(tmp_path))
    with pytest.raises(RuntimeError), store.day_writer("e", DAY) as writer:
        writer.add("invocations", invocations(1))
        raise RuntimeError
    assert snapshot(tmp_path) == {}
    assert store.manifest("e", DAY) is None
    assert store.table("invocations", "e").num_rows == 0


def test_a_damaged_manifest_is_one_line(tmp_path):
    store = Store.at(str(tmp_path))
    write(store, 1)
    name = "days/endpoint=e/day=2026-11-03.json"
    store.files.write(name, b"{")
    with pytest.raises(StoreError, match=name):
        store.manifest("e", DAY)


@pytest.mark.parametrize(
    "damage",
    [
        lambda b: b[: len(b) // 2],
        lambda b: b.replace(b"request_id", b"\xf2equest_id"),
        lambda b: b[:4] + bytes(len(b) // 2) + b[4 + len(b) // 2 :],
    ],
    ids=["cut", "name", "pages"],
)
def test_damaged_rows_are_one_line_that_names_the_file(tmp_path, damage):
    store = Store.at(str(tmp_path))
    write(store, 500)
    (name,) = store.manifest("e", DAY).files["invocations"]
    store.files.write(name, damage(store.files.read(name)))
    with pytest.raises(StoreError, match=f"{name}: (damaged|cannot be read): ") as caught:
        store.table("invocations", "e")
    assert "\n" not in str(caught.value)


def test_unknown_schemes_are_configuration_errors():
    with pytest.raises(ConfigError, match="store.url"):
        Store.at("ftp://x/y")


def test_a_read_only_store_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError):
        write(Store.at(str(tmp_path / "file")), 1)
