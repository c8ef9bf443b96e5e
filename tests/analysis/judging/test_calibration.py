"""The verdict's error rates by simulation, and that the simulation judges as the verdict does."""

from __future__ import annotations

import json
import runpy
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import ville
from hypothesis import given
from hypothesis import strategies as st

from analysis.judging import calibration, diagnostics, looks
from analysis.judging.calibration import calibrate, calibrate_days, calibrate_streams
from analysis.judging.flags import flags
from analysis.judging.scenarios import SCENARIOS, resample, simulate
from analysis.judging.streams import FILE, Stream, recorded
from analysis.replaying.identity import NEVER_US
from analysis.verdict import judge

ROOT = Path(__file__).resolve().parents[3]
WEEKEND = np.arange(14) % 7 >= 5
SIDE = {"evaluate-dedicated": 1, "stay-serverless": -1, "not-decided": 0}


def some_trials(kind: str) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng([7, *kind.encode()])
    if kind == "sparse":
        requests = rng.poisson(2, size=(60, 14))
        return requests, rng.binomial(requests, rng.choice([0.0, 0.05, 0.5, 1.0], size=(60, 1)))
    if kind == "wild":
        requests = rng.poisson(rng.lognormal(3, 1.2, size=(60, 14)))
        return requests, rng.binomial(requests, rng.beta(1, 3, size=(60, 14)))
    if kind == "equal":
        return np.full((20, 14), 40), np.repeat(np.arange(0, 40, 2)[:, None], 14, axis=1)
    of = simulate(SCENARIOS[kind], trials=30, rates=(0.12, 0.2, 0.3), seed=4)
    return np.tile(of.requests, (3, 1)), np.concatenate(list(of.cold_hits.values()))


@pytest.mark.parametrize("kind", ["A", "W", "C", "sparse", "wild", "equal"])
def test_the_simulation_decides_as_the_verdict_does(trial_days, trial_section, kind):
    requests, cold = some_trials(kind)
    sides = looks.t_mixture(requests.astype(float), cold.astype(float), threshold=0.2, alpha=1 - trial_section.confidence, weekend=WEEKEND)
    for i in range(0, len(requests), 3):
        for n in (4, 5, 6, 9, 14):
            days = trial_days(requests[i, :n].tolist(), cold[i, :n].tolist())
            verdict = judge(days, endpoint="e", platform="cloud-run", trial=trial_section.model_copy(update={"noticed_share": 0.0}))
            assert SIDE[verdict.decision] == sides[i, n - 1], (kind, i, n, verdict)


def test_the_simulation_flags_as_the_verdict_does(trial_days, trial_section):
    requests, cold = some_trials("C")
    up = looks.flagged(requests.astype(float), cold.astype(float), weekend=WEEKEND)
    assert {bool(v) for v in up[:, -1]} == {True, False}
    for i in range(0, len(requests), 4):
        for n in (11, 12, 14):
            days = trial_days(requests[i, :n].tolist(), cold[i, :n].tolist())
            assert bool(flags(days, endpoint="e", trial=trial_section, through=None)) == up[i, n - 1]


@pytest.mark.parametrize("scenario", ["A", "B", "W"])
def test_where_the_method_holds_false_alarms_are_rare_and_power_is_high(scenario):
    of = calibrate(scenario, trials=600, seed=2)
    # The figures to hold are 5 %, 0.5 % and 80 %; 600 trials add two standard errors to the first two.
    assert of.false_alarm[-1] <= 0.05 + 0.018
    assert of.contradiction <= 0.005 + 0.006
    (high,) = [p for p in of.rates if p.rate == 0.30]
    assert high.correct[-1] >= 0.80 and high.wrong == 0
    assert of.compared["Wilson interval"][-1] > 3 * of.false_alarm[-1]
    assert of.false_alarm[:4] == (0, 0, 0, 0)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_on_real_streams_the_method_holds_as_it_is_promised(seed):
    of = calibrate("R", seed=seed, rates=(0.30,))
    assert of.trials == 2000
    assert of.false_alarm[-1] <= 0.05 and of.contradiction <= 0.005
    (high,) = of.rates
    assert high.correct[-1] >= 0.80 and high.wrong == 0
    assert of.compared["Wilson interval"][-1] > 0.5
    assert of.false_alarm[:4] == (0, 0, 0, 0)


@pytest.mark.parametrize("scenario", ["C", "D", "E+"])
def test_where_no_method_holds_the_flags_are_up(scenario):
    of = calibrate(scenario, trials=400, seed=2, rates=())
    assert of.false_alarm[-1] > 0.15, "traffic on which the warning is worth something"
    assert of.flagged_false_alarms is not None and of.flagged_false_alarms >= 0.90


def test_flags_stay_down_on_plain_traffic():
    (high,) = calibrate("A", trials=400, seed=3, rates=(0.30,)).rates
    assert high.provisional is not None and high.provisional < 0.12


def test_the_same_seed_gives_the_same_figures_and_another_gives_others():
    first, again, other = (calibrate("B", trials=60, seed=seed, rates=(0.3,)) for seed in (5, 5, 6))
    assert first == again != other
    assert json.loads(json.dumps(first.to_json(), allow_nan=False))["scenario"] == "B"


def test_an_unknown_scenario_is_named():
    with pytest.raises(ValueError, match="no scenario 'Z'; known: A, B"):
        calibrate("Z")


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_simulated_traffic_has_the_rate_it_was_asked_for(scenario):
    of = SCENARIOS[scenario]
    simulated = simulate(of, trials=40, rates=(0.1, 0.3), seed=8)
    total = simulated.requests.sum()
    assert total / simulated.requests.size == pytest.approx(of.requests_per_day, rel=0.05)
    for rate, cold in simulated.cold_hits.items():
        assert cold.sum() / total == pytest.approx(rate, abs=1e-3)
        assert (cold <= simulated.requests).all()


def test_constant_traffic_meets_the_closed_form():
    # One worker, no service time: P(cold) = exp(-rate x time-out), so doubling the time-out squares the share.
    of = simulate(SCENARIOS["A"], trials=200, rates=(0.36, 0.6), seed=9)
    cold = of.cold_hits[0.36].sum() / of.requests.sum()
    assert cold == pytest.approx(0.36, abs=1e-3)
    assert diagnostics.design_effect(of.requests.astype(float), of.cold_hits[0.36].astype(float)).mean() == pytest.approx(1, abs=0.1)


def test_sessions_longer_than_the_rate_allows_are_refused():
    with pytest.raises(ValueError, match="cannot have 60%"):
        simulate(SCENARIOS["B"], trials=1, rates=(0.6,), seed=1)


def test_blocks_keep_neighbouring_days_together():
    days = np.arange(10)
    drawn, same = resample(days, days, trials=50, rng=np.random.default_rng(1), days=14, block=7)
    assert drawn.shape == (50, 14) and (drawn == same).all()
    steps = np.diff(drawn, axis=1) % 10
    assert (np.delete(steps, 6, axis=1) == 1).all()
    assert set(drawn.ravel().tolist()) == set(range(10))
    with pytest.raises(ValueError, match="at least 7 days"):
        resample(days[:6], days[:6], trials=1, rng=np.random.default_rng(1))


def test_ones_own_days_are_calibrated_at_their_own_rate(trial_days, trial_section):
    rng = np.random.default_rng(3)
    requests = rng.poisson(60, size=14)
    days = trial_days(requests.tolist(), rng.binomial(requests, 0.31).tolist())
    of = calibrate_days(days, trial=trial_section, trials=300)
    assert of.scenario == "own" and of.threshold == pytest.approx(0.31, abs=0.03)
    assert of.false_alarm[-1] <= 0.1
    assert {p.rate: p.correct[-1] > 0.5 for p in of.rates} == {0.12: True, 0.18: False, 0.22: False, 0.30: True}
    assert all(p.wrong < 0.05 for p in of.rates)
    with pytest.raises(ValueError, match="at least 7 days"):
        calibrate_days(days[:5], trial=trial_section)
    with pytest.raises(ValueError, match="all warm or all cold"):
        calibrate_days(trial_days([5] * 14, [0] * 14), trial=trial_section)


def test_the_beta_binomial_rule_is_its_closed_form():
    # E = B(C + 1, N - C + 1) / (p^C (1 - p)^(N - C)); for 3 of 20 at 0.2: 1 / (21 * C(20, 3) * 0.2^3 * 0.8^17).
    requests, cold = np.array([[20.0, 80.0]]), np.array([[3.0, 50.0]])
    assert looks.beta_binomial(requests, cold, threshold=0.2, alpha=0.05).tolist() == [[0, 1]]
    exact = 1 / (21 * 1140 * 0.2**3 * 0.8**17)
    for alpha, expected in ((1 / exact * 1.001, -1), (1 / exact * 0.999, 0)):
        assert looks.beta_binomial(np.array([[20.0]]), np.array([[3.0]]), threshold=0.2, alpha=alpha).tolist() == [[expected]]


def test_the_beta_binomial_rule_agrees_with_ville():
    rng = np.random.default_rng(12)
    for _ in range(100):
        rate, threshold, alpha = rng.uniform(0.05, 0.5), rng.uniform(0.05, 0.5), rng.choice([0.01, 0.05, 0.1])
        requests = rng.integers(1, 60, size=14)
        hits = (rng.random(requests.sum()) < rate).astype(float)
        theirs = ville.BernoulliCS(alpha=alpha, intersect=False)
        theirs.fit(hits)
        ends = np.cumsum(requests) - 1
        expected = np.where(np.asarray(theirs.lower_)[ends] > threshold, 1, np.where(np.asarray(theirs.upper_)[ends] < threshold, -1, 0))
        cold = np.add.reduceat(hits, np.concatenate([[0], ends[:-1] + 1]))
        ours = looks.beta_binomial(requests[None].astype(float), cold[None], threshold=threshold, alpha=alpha)
        assert ours[0].tolist() == expected.tolist()


def test_a_week_shifted_trial_is_judged_by_its_own_weekends(trial_days, trial_section):
    # The simulation starts on Mondays; the verdict takes weekends from the dates.
    days = trial_days([600] * 5, [20] * 5, skip=3)
    assert days[0].day - trial_section.start == timedelta(days=3)
    assert judge(days, endpoint="e", platform="cloud-run", trial=trial_section).decision == "stay-serverless"


def test_the_figure_of_the_docs_is_the_same_bytes_for_the_same_seed(tmp_path):
    script = runpy.run_path(str(ROOT / "docs" / "figures" / "make_verdict_figure.py"))
    for name in ("one.svg", "two.svg"):
        assert script["main"](["--trials", "60", "--out", str(tmp_path / name)]) == 0
    drawn = (tmp_path / "one.svg").read_bytes()
    assert drawn == (tmp_path / "two.svg").read_bytes()
    for label in (b"this verdict", b"plain threshold", b"30 %, real streams", b"day of the trial"):
        assert label in drawn


def test_a_stream_has_just_the_rates_it_was_asked_for():
    rng = np.random.default_rng(2)
    day, idle_us = np.sort(rng.integers(0, 15, 1000)), rng.permutation(1000) * 10**6
    idle_us[[3, 500]] = NEVER_US
    stream = Stream.of_ages("steady", idle_us=idle_us, day=day, days=16)
    assert stream.requests.tolist() == [*np.bincount(day).tolist(), 0], "a last day without a request is a day"
    assert [int(stream.cold_hits(rate).sum()) for rate in (0, 0.2, 0.3, 1)] == [0, 200, 300, 1000]
    assert set(stream.day[:2].tolist()) == set(day[[3, 500]].tolist()), "without an idle worker a request is cold at any time-out"
    assert stream.cold_hits(0.2)[4] == np.sum(idle_us[day == 4] >= np.sort(idle_us)[800]), "the longest idle times are the cold ones"
    of = calibrate_streams([stream], name="steady", trials=400, rates=(0.3,))
    assert (of.scenario, of.name, of.trials) == ("R", "steady", 400)
    assert of.false_alarm[-1] <= 0.05 + 0.02 and of.rates[0].rate == 0.3 and of.rates[0].correct[-1] > 0.9


@given(st.integers(1, 36).flatmap(lambda days: st.tuples(st.just(days), st.lists(st.integers(0, days - 1), min_size=1))))
def test_a_stream_reads_back_as_it_was_written(days_and_day):
    days, day = days_and_day
    stream = Stream(name="M1", days=days, day=np.array(day))
    again = Stream.parse(stream.line())
    assert (again.name, again.days, again.day.tolist()) == ("M1", days, day)


@pytest.mark.parametrize("line", ["M1 14", "M1 x 00", "M1 14 0-1", "M1 14 0e", "M1 14 0 1"])
def test_a_line_that_is_no_stream_is_refused(line):
    with pytest.raises(ValueError):
        Stream.parse(line)


def test_the_recorded_streams_are_as_they_are_described():
    streams = recorded()
    assert FILE.parent == Path(calibration.__file__).parent, "data of the package, so that every installation has it"
    assert len(streams) == len({s.name for s in streams}) == 10
    for stream in streams:
        assert 14 <= stream.days <= 22 and len(stream.day) >= 600
        assert stream.requests.sum() == len(stream.day) and len(stream.requests) == stream.days
        for rate in (0.05, 0.2, 0.3):
            cold = stream.cold_hits(rate)
            assert cold.sum() == round(rate * len(stream.day)) and (cold <= stream.requests).all()
    assert sum(len(s.day) for s in streams) == 22876


def write_trace(path: Path, rows: list[tuple[datetime, float, str]]) -> Path:
    lines = [f"{at.isoformat(sep=' ', timespec='seconds')},{service},{model}" for at, service, model in rows]
    path.write_text("\n".join(["gmt_create,exec_time_seconds,checkpoint_model_version_id", *lines, ""]), encoding="utf-8")
    return path


def test_the_benchmark_reads_a_trace(tmp_path, capsys):
    rng = np.random.default_rng(6)
    seconds = np.sort(rng.uniform(0, 20 * 86400, 4000))
    start = datetime(2024, 11, 15)
    rows = [(start + timedelta(seconds=float(s)), 0.0, "M1") for s in seconds]
    # Too few requests, too few days, and requests of no model.
    few = [(start + timedelta(hours=h), 1.0, "M2") for h in range(0, 20 * 24, 2)]
    short = [(start + timedelta(minutes=m), 1.0, "M3") for m in range(0, 10 * 1440, 10)]
    nameless = [(start + timedelta(minutes=m), 1.0, "") for m in range(0, 20 * 1440, 10)]
    trace = write_trace(tmp_path / "trace.csv", [*nameless, *short, *few, *rows])
    script = runpy.run_path(str(ROOT / "benchmarks" / "calibration.py"))
    written = [tmp_path / "one.txt", tmp_path / "two.txt"]
    for path in written:
        assert script["main"](["--trace", str(trace), "--trials", "50", "--json", "--write", str(path)]) == 0
        out = capsys.readouterr().out
    assert written[0].read_bytes() == written[1].read_bytes()
    (line,) = [line for line in written[0].read_text(encoding="ascii").splitlines() if not line.startswith("#")]
    stream = Stream.parse(line)
    in_whole_days = (seconds >= 86400) & (seconds < 19 * 86400)
    assert (stream.name, stream.days) == ("M1", 18)
    assert stream.requests.tolist() == np.bincount(seconds[in_whole_days].astype(int) // 86400 - 1).tolist()
    results = json.loads(out)["results"]
    pooled, alone = results[:2]
    assert (pooled["name"], alone["name"]) == ("real: 1 streams", "real: M1")
    assert pooled["threshold"] == 0.2 and [p["rate"] for p in pooled["rates"]] == [0.12, 0.18, 0.22, 0.3]
    # 200 Poisson requests a day that take no time: exp(-lambda T) of them are cold at each time-out.
    of_m1 = {r["name"].split(":")[0]: r["threshold"] for r in results if r["name"].startswith("M1")}
    assert of_m1.keys() == {"M1 300 s", "M1 600 s"}
    for name, timeout in (("M1 300 s", 300), ("M1 600 s", 600)):
        assert of_m1[name] == pytest.approx(np.exp(-timeout * 200 / 86400), abs=0.03)


def test_requests_of_a_trace_that_overlap_need_workers_of_their_own(tmp_path):
    # Every hour two requests, ten seconds apart. Of a minute each they overlap on two workers: the first takes the one that the hour before
    # left last, at 70 s, the second the one left at 60 s. Of a second each they share one worker, idle for nine seconds between them.
    start = datetime(2024, 11, 15)
    read = runpy.run_path(str(ROOT / "benchmarks" / "calibration.py"))["read"]
    for service, idle in ((60.0, (3600 - 70, 3610 - 60)), (1.0, (3600 - 11, 9))):
        rows = [(start + timedelta(hours=h, seconds=s), service, "M1") for h in range(20 * 24) for s in (0, 10)]
        (served,) = read(write_trace(tmp_path / "trace.csv", rows))
        assert len(served.idle_us) == 2 * 18 * 24
        # Arrivals are spread over their second.
        assert np.abs(served.idle_us / 1e6 - np.tile(idle, 18 * 24)).max() < 1


@pytest.mark.parametrize("per_day", [1, 2, 3, 5, 10])
@pytest.mark.parametrize("threshold", [0.05, 0.2, 0.5])
def test_a_handful_of_requests_a_day_raises_no_more_false_alarms(per_day, threshold):
    rng = np.random.default_rng([13, per_day])
    requests = rng.poisson(per_day, size=(2000, 14)).astype(float)
    cold = rng.binomial(requests.astype(int), threshold).astype(float)
    sides = looks.t_mixture(requests, cold, threshold=threshold, alpha=0.05, weekend=WEEKEND)
    assert (sides != 0).any(axis=1).mean() <= 0.05 + 0.01  # two standard errors
