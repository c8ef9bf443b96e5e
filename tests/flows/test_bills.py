"""A bill beside the model, from billing exports and from the provider's API, to the verdict's flag and JSON."""

import gzip
import json
import logging
import os
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from analysis import prices
from analysis.judging.verdict_json import verdict_json
from flows import bills, costs, results, telling
from trial import config, registration, schema
from trial.errors import NotFound
from trial.records import Instance, Invocation, UsageBucket
from trial.store import Store
from trial.summary import DaySummary, Sketch

START = date(2026, 11, 2)
NOW = datetime(2026, 11, 10, tzinfo=UTC)
DAYS = [START + timedelta(days=i) for i in range(5)]

TOML = """
[trial]
name = "try"
start = 2026-11-02
days = 14

[prices]
{prices}

[[endpoints]]
name = "run"
platform = "cloud-run"
project = "acme"
service = "summariser"
region = "us-central1"
price = "cloud-run-l4-no-zonal"
idle_timeout_s = 600
{bill}

[[dedicated]]
name = "g4dn.xlarge"
price = "sagemaker-ml.g4dn.xlarge"
"""

HEAD = "BilledCost,BillingCurrency,ChargePeriodStart,ChargePeriodEnd,ServiceName,ResourceName,ChargeCategory,SkuMeter\n"


def instant(day, hour=12):
    return datetime(day.year, day.month, day.day, hour, tzinfo=UTC)


@pytest.fixture
def make(tmp_path):
    """A stored trial of five days, each with one instance that lives an hour and 900 s; `usage` gives a day its buckets."""

    def build(*, bill='bill = "bills/*"', prices="", usage=lambda day: ()):
        (tmp_path / "trial.toml").write_text(TOML.format(bill=bill, prices=prices))
        trial = config.load(tmp_path / "trial.toml")
        store = Store.at(trial.store_url)
        for day in DAYS:
            with store.day_writer("run", day) as writer:
                at = instant(day)
                served = [
                    Invocation(platform="cloud-run", endpoint="run", day=day, request_id=f"{day}-{i}", instance_id=f"i{day}", latency_ms=1000.0,
                               started_at=at + timedelta(minutes=6 * i), handler_ms=1000.0, cold="warm" if i else "cold", model="m" if i % 2 else "n")
                    for i in range(11)
                ]  # fmt: skip
                life = Instance(
                    endpoint="run",
                    id=f"i{day}",
                    started_at=at - timedelta(seconds=20),
                    ready_at=at,
                    first_seen_at=at - timedelta(seconds=20),
                    last_seen_at=at + timedelta(hours=1),
                )
                writer.add("invocations", schema.invocations_table(served))
                writer.add("instances", schema.instances_table([life]))
                by_model = {
                    name: {"requests": n, "gpu_us": 1_000_000 * n, "input_tokens": 100 * n, "output_tokens": 20 * n}
                    for name, n in (("m", 5), ("n", 6))
                }
                summary = DaySummary(
                    endpoint="run",
                    platform="cloud-run",
                    days=(day,),
                    requests=11,
                    cold_hits=1,
                    by_model=by_model,
                    sketches={"handler_ms": Sketch(bins={1: 11}, count=11, sum_us=11_000_000, min_ms=1000.0, max_ms=1000.0)},
                )
                writer.commit(summary, usage=usage(day))
        return trial, store

    (tmp_path / "bills").mkdir()
    return build


def modelled(make):
    """What the model says each of the five equal days costs."""
    trial, store = make(bill="")
    (endpoint,) = results.gather(trial, store, now=NOW).endpoints
    assert len({d.total_usd for d in endpoint.cost.days}) == 1
    return endpoint.cost.days[0].total_usd


def rows(*usd_by_day, service="Cloud Run", resource="summariser", meter="GPU L4"):
    lines = []
    for day, usd in zip(DAYS, usd_by_day, strict=False):
        begin, end = instant(day, 0), instant(day, 0) + timedelta(days=1)
        lines.append(f"{usd},USD,{begin.isoformat()},{end.isoformat()},{service},{resource},Usage,{meter}\n")
    return "".join(lines)


def gathered(make, **kwargs):
    trial, store = make(**kwargs)
    result = results.gather(trial, store, now=NOW)
    return result.endpoints[0], verdict_json(result.trial, result.as_of, result.endpoints, dedicated=result.dedicated)["endpoints"][0]


def test_an_export_that_agrees_stands_beside_the_model(make, tmp_path):
    usd = modelled(make)
    (tmp_path / "bills" / "a.csv").write_text(HEAD + rows(*[usd] * 5) + rows(9, 9, 9, resource="other") + rows(7, service="BigQuery"))
    endpoint, document = gathered(make)
    assert [d.billed_usd for d in endpoint.cost.days] == [{"gpu": usd}] * 5
    assert endpoint.reconciliation.within_tolerance is True
    assert "bill-differs" not in document["flags"]
    assert document["cost"]["billed_usd_per_day"] == pytest.approx(float(usd))
    assert (document["cost"]["residual_share"], document["cost"]["billed_days"]) == (0.0, 5)


def test_beyond_the_tolerance_the_verdict_is_flagged_and_stays(make, tmp_path):
    usd = modelled(make)
    (tmp_path / "bills" / "a.csv").write_text(HEAD + rows(*[usd * Decimal("1.25")] * 5))
    without, _ = gathered(make, bill="")
    endpoint, document = gathered(make)
    assert (endpoint.verdict.decision, endpoint.verdict.evidence) == (without.verdict.decision, "provisional")
    assert document["flags"][-1] == "bill-differs"
    assert "20.0% less than billed" in document["flag_details"]["bill-differs"]
    assert document["cost"]["residual_share"] == pytest.approx(0.2)
    assert document["cost"]["residual_within_tolerance"] is False
    assert document["cost"]["residual_phase"] == "idle"
    assert document["cost"]["residual_trend_usd_per_day"] == pytest.approx(0, abs=1e-9)
    assert "bill-differs" not in gathered(make, prices="tolerance = 0.3")[1]["flags"]


def test_files_of_several_kinds_are_one_bill(make, tmp_path):
    lines = (HEAD + rows("1", "1")).splitlines()
    columns = {name: [line.split(",")[i] for line in lines[1:]] for i, name in enumerate(lines[0].split(","))}
    pq.write_table(pa.table(columns), tmp_path / "bills" / "a.parquet")
    (tmp_path / "bills" / "b.csv.gz").write_bytes(gzip.compress((HEAD + rows("0.5", "0.25", meter="Memory")).encode()))
    trial, _ = make()
    assert bills.read(trial, trial.endpoint("run")) == {
        DAYS[0]: {"gpu": Decimal(1), "memory": Decimal("0.5")},
        DAYS[1]: {"gpu": Decimal(1), "memory": Decimal("0.25")},
    }


def test_a_day_that_had_not_ended_when_the_export_was_written_has_no_bill_yet(make, tmp_path):
    file = tmp_path / "bills" / "a.csv"
    file.write_text(HEAD + rows("1", "1", "0.1"))
    written = (instant(DAYS[2], 6)).timestamp()
    os.utime(file, (written, written))
    trial, _ = make()
    assert list(bills.read(trial, trial.endpoint("run"))) == DAYS[:2]


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a.txt", None, "no file matches"),
        ("a.csv", "a,b\n1,2\n", "has no column BilledCost"),
        ("a.csv", HEAD + "x,USD,2026-11-02,2026-11-03,Cloud Run,summariser,Usage,GPU\n", "'x' is not an amount"),
        ("a.csv", HEAD + rows("1", resource="other"), "nothing in bills/*.csv is this endpoint's (1 other resource)"),
        ("a.csv", HEAD + rows("1", resource=""), "names no resources"),
    ],
    ids=["none", "other columns", "no amount", "other resource", "no resource"],
)
def test_a_bill_that_cannot_be_used_is_said_and_stops_nothing(make, tmp_path, caplog, name, text, says):
    if text is not None:
        (tmp_path / "bills" / name).write_text(text)
    with caplog.at_level(logging.WARNING, logger="fortnight"):
        endpoint, document = gathered(make, bill='bill = "bills/*.csv"')
    assert says in caplog.text
    assert endpoint.cost is not None
    if "no resources" not in says:
        assert document["cost"]["residual_share"] is None
        assert document["cost"]["billed_days"] == 0


def looked(make):
    trial, _ = make(bill='bill = "bills/*.csv"')
    return list(bills.look(trial, trial.endpoint("run")))


def test_doctor_says_what_the_bill_covers(make, tmp_path):
    (tmp_path / "bills" / "a.csv").write_text(HEAD + rows("1", "1", "1.5"))
    (finding,) = looked(make)
    assert (finding.check, finding.state, finding.do) == ("bill", "ok", None)
    assert finding.detail == "3 days of the trial, 2026-11-02 to 2026-11-04, $3.50"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "bills/*.csv: no file matches"),
        ("a,b\n1,2\n", "bills/a.csv: has no column BilledCost"),
        (HEAD + rows("1", resource="other"), "nothing in bills/*.csv is this endpoint's (1 other resource); no whole day of the trial yet"),
    ],
)
def test_doctor_warns_of_a_bill_that_cannot_be_used_and_says_what_to_do(make, tmp_path, text, says):
    if text is not None:
        (tmp_path / "bills" / "a.csv").write_text(text)
    (finding,) = looked(make)
    assert (finding.state, finding.detail) == ("warn", says)
    assert finding.do


def test_doctor_says_nothing_of_a_bill_that_is_not_named(make):
    trial, _ = make(bill="")
    assert list(bills.look(trial, trial.endpoint("run"))) == []


def test_no_file_is_an_error_with_the_way_out(make):
    trial, _ = make()
    with pytest.raises(NotFound, match="relative to trial.toml"):
        bills.read(trial, trial.endpoint("run"))


def test_the_providers_own_billing_buckets_are_a_bill_without_any_file(make):
    usd = modelled(make)

    def usage(day):
        begin = instant(day, 0)
        return [
            UsageBucket(
                endpoint="run",
                source="billing",
                start=begin,
                end=begin + timedelta(days=1),
                billed_usd={"gpu": usd * 2, "disk": Decimal(3)},
            )
        ]

    endpoint, document = gathered(make, bill="", usage=usage)
    assert document["cost"]["residual_share"] == pytest.approx(0.5)
    assert endpoint.reconciliation.days[0].other == 3, "what the model does not price stands apart"
    assert "bill-differs" in document["flags"]


def test_cost_by_model_adds_up_to_the_bill_and_is_in_the_json(make):
    endpoint, document = gathered(make, bill="")
    parts = document["cost"]["by_model"]
    assert [(m["model"], m["shared_out_by"]) for m in parts] == [("n", "gpu_ms"), ("m", "gpu_ms")]
    assert sum(m["usd"] for m in parts) == pytest.approx(float(endpoint.cost.total_usd))
    assert parts[0]["usd_per_million_tokens"] == pytest.approx(parts[0]["usd"] * 1e6 / (6 * 5 * 120))
    assert document["cost"]["usd_per_million_tokens"] == pytest.approx(float(endpoint.cost.total_usd) * 1e6 / (55 * 120))


def test_months_have_the_hours_they_are_given(make):
    assert gathered(make, bill="")[1]["cost"]["usd_per_month"] == pytest.approx(
        gathered(make, bill="")[1]["cost"]["usd_per_day"] * 730 / 24
    )
    _, document = gathered(make, bill="", prices="hours_per_month = 720")
    assert document["cost"]["usd_per_month"] == pytest.approx(document["cost"]["usd_per_day"] * 30)


def test_break_even_and_how_far_the_rate_is_from_turning_it(make):
    endpoint, _ = gathered(make, bill="")
    (found,) = endpoint.break_evens
    assert (found.option, found.at, found.dedicated_cheaper) == ("g4dn.xlarge", 11.0, False)
    assert found.flip_factor == pytest.approx(found.dedicated_usd / float(endpoint.cost.usd_per_day))
    assert found.crossing is not None and found.crossing.low <= found.crossing.best <= found.crossing.high
    assert "you are at 11" in found.sentence
    _, document = gathered(make, bill="")
    (told,) = document["cost"]["break_even"]
    assert (told["option"], told["requests_per_day"], told["dedicated_cheaper"]) == ("g4dn.xlarge", 11.0, False)
    assert (told["flip_factor"], told["sentence"]) == (pytest.approx(found.flip_factor), found.sentence)
    crossing = told["dedicated_cheaper_above"]
    assert crossing["low"] <= crossing["best"] == pytest.approx(found.crossing.best)
    low, high = document["cost"]["usd_per_day_bounds"]
    assert low <= document["cost"]["usd_per_day"] <= high
    trial, store = make(bill="")
    (option,) = results.gather(trial, store, now=NOW).dedicated
    assert option.break_even_requests_per_day == {"run": pytest.approx(found.crossing.best)}


def test_another_price_book_than_the_trials_own_is_said_at_once(make, tmp_path):
    trial, store = make(bill="")
    results.register(trial, store, now=NOW)
    assert "settings-changed" not in [flag.code for flag in gathered(make, bill="")[0].verdict.flags]
    own = prices.load("standard").path.read_text().replace('rates.instance.amount = "0.0001867"', 'rates.instance.amount = "0.0002"')
    (tmp_path / "own.toml").write_text(own)
    result, _ = gathered(make, bill="", prices='book = "own.toml"')
    (flag,) = [flag for flag in result.verdict.flags if flag.code == "settings-changed"]
    assert "the price book on 2026-11-10" in flag.detail and result.verdict.evidence == "provisional"
    assert registration.read(store.files).changes == ()  # a look writes nothing


LAMBDA = """
[trial]
name = "try"
start = 2026-11-02

[prices]
free_tier = {free_tier}

[[endpoints]]
name = "fn"
platform = "aws-lambda"
function = "f"
region = "us-east-1"
price = "aws-lambda-x86"
resources = {{ memory_mb = 1024 }}
"""


@pytest.mark.parametrize(("free_tier", "usd"), [("false", Decimal("0.0333334") + Decimal("0.0000004")), ("true", Decimal(0))])
def test_free_tiers_are_taken_off_only_where_the_trial_says_so(tmp_path, free_tier, usd):
    (tmp_path / "trial.toml").write_text(LAMBDA.format(free_tier=free_tier))
    trial = config.load(tmp_path / "trial.toml")
    store = Store.at(trial.store_url)
    with store.day_writer("fn", START) as writer:
        served = [
            Invocation(
                platform="aws-lambda",
                endpoint="fn",
                day=START,
                request_id=str(i),
                instance_id="i",
                started_at=instant(START),
                billed_ms=1_000_000.0,
            )
            for i in range(2)
        ]
        writer.add("invocations", schema.invocations_table(served))
        writer.commit(DaySummary(endpoint="fn", platform="aws-lambda", days=(START,), requests=2))
    (endpoint,) = results.gather(trial, store, now=NOW).endpoints
    assert endpoint.cost.total_usd == usd
    assert costs.book_of(trial).row("aws-lambda-x86").free_tier


def test_the_json_is_json(make):
    _, document = gathered(make, bill="")
    assert json.loads(json.dumps(document, allow_nan=False)) == document


def test_a_decision_about_to_be_told_is_held_against_the_bill_first(make):
    usd = modelled(make)

    def usage(day):
        begin = instant(day, 0)
        return [UsageBucket(endpoint="run", source="billing", start=begin, end=begin + timedelta(days=1), billed_usd={"gpu": usd * 2})]

    trial, store = make(bill="", usage=usage)
    (judged,) = results.verdicts(trial, store, now=NOW)
    decided = replace(judged, verdict=replace(judged.verdict, decision="stay-serverless", evidence="decided", flags=()))
    told = telling._with_bill(trial, store, decided, set())
    assert (told.verdict.decision, told.verdict.evidence) == ("stay-serverless", "provisional")
    assert [flag.code for flag in told.verdict.flags] == ["bill-differs"]
    assert telling._with_bill(trial, store, decided, {"run/decision/stay-serverless"}) is decided, "it was told already"
