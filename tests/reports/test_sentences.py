from __future__ import annotations

from dataclasses import replace

from reports import sentences
from trial.config import Trial
from trial.results import EndpointResult, TrialResult


def texts(said: list[sentences.Said]) -> str:
    return " ".join(s.text for s in said).replace("\u00a0", " ")


def only(result: TrialResult, endpoint: EndpointResult) -> TrialResult:
    return replace(result, endpoints=(endpoint,))


def test_endpoints_that_share_a_verdict_share_a_sentence(result: TrialResult) -> None:
    staying = result.endpoints[0]
    two = replace(result, endpoints=(staying, replace(staying, endpoint="other")))
    assert sentences.headline(two) == ["Stay serverless on summariser-fn and other."]


def test_a_running_trial_is_not_decided_yet(running: TrialResult, result: TrialResult) -> None:
    assert sentences.headline(running)[-1].endswith("not decided yet.")
    assert sentences.headline(result)[-1].endswith("not decided.")
    assert sentences.standing(running).startswith("Day 6 of 14: the trial is still running")


def test_dedicated_is_advised_but_a_serverless_setting_is_cheaper(result: TrialResult) -> None:
    moving = result.endpoints[1]
    serverless = next(w for w in moving.whatifs if w.name == "min workers 1")
    said = sentences.disagreements(only(result, replace(moving, cheapest=serverless)))
    assert "the cheapest setting that meets the SLO is still serverless: min workers 1" in texts(said)
    assert sentences.disagreements(only(result, moving)) == []


def test_staying_is_advised_but_a_dedicated_option_is_cheaper(result: TrialResult) -> None:
    staying = result.endpoints[0]
    dedicated = next(w for w in staying.whatifs if w.name == "g4dn.xlarge")
    assert "is the dedicated g4dn.xlarge" in texts(sentences.disagreements(only(result, replace(staying, cheapest=dedicated))))
    as_it_is = staying.whatifs[0]
    assert sentences.disagreements(only(result, replace(staying, cheapest=as_it_is))) == []


def test_a_replay_that_misses_is_called_doubtful(result: TrialResult, config: Trial) -> None:
    e = result.endpoints[1]
    off = tuple(replace(w, residual_points=-11.7) if w.name == "as it is" else w for w in e.whatifs)
    assert "misses the observed cold-hit rate by 11.7 points" in texts(sentences.cheapest(only(result, replace(e, whatifs=off)), config))
    assert "Doubtful" not in texts(sentences.cheapest(only(result, e), config))


def test_no_setting_meets_the_slo_and_none_was_replayed_differ(result: TrialResult, config: Trial) -> None:
    e = result.endpoints[1]
    assert "no setting replayed meets it" in texts(sentences.cheapest(only(result, replace(e, cheapest=None)), config))
    assert "no settings were replayed" in texts(sentences.cheapest(only(result, replace(e, cheapest=None, whatifs=())), config))


def test_cold_hits_to_the_threshold_are_exact_on_both_sides(result: TrialResult) -> None:
    e = result.endpoints[0]
    verdict = replace(e.verdict, requests=1000, cold_hits=200, threshold=0.2)
    below = texts(sentences.turning_points(only(result, replace(e, verdict=verdict))))
    assert below.startswith("1 cold hit more than the 200 seen"), "200 of 1,000 is not above 20 %, 201 is"
    above = texts(sentences.turning_points(only(result, replace(e, verdict=replace(verdict, cold_hits=201)))))
    assert above.startswith("1 cold hit fewer of 201")
    odd = replace(verdict, requests=100, cold_hits=29, threshold=0.29)  # 0.29 * 100 is 28.999999999999996
    assert texts(sentences.turning_points(only(result, replace(e, verdict=odd)))).startswith("1 cold hit more than the 29 seen")
