"""What an endpoint of the sandbox is: its traffic, its model's times, its platform's scaling. Three defaults with unlike outcomes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """
    One endpoint.

    Args:
        requests_per_day: mean over the week, before the burst.
        session_requests: mean requests of one user's session.
        think_s: median pause between the requests of a session.
        crowd: mean users that arrive together (a class opens the page, a newsletter lands).
        night: traffic at the quietest hour as a share of the busiest.
        service_ms, service_sigma: lognormal handler time (median, sigma of the log).
        gpu_share: GPU time as a share of handler time.
        boot_ms, load_ms: median start-up of an instance before and while the model is loaded, outside any request.
        idle_timeout_s: an idle instance is stopped this long after its last request.
        concurrency: requests one instance serves at once.
        shares_starting: whether requests wait for an instance that is already starting.
        max_workers: requests beyond are aborted (Cloud Run); None for no limit.
        max_life_s: the platform recycles an instance older than this once it is idle.
    """

    name: str
    platform: str
    model: str
    requests_per_day: float
    session_requests: float
    think_s: float
    crowd: float = 1.0
    night: float = 0.08
    service_ms: float
    service_sigma: float = 0.45
    gpu_share: float | None = 0.9
    boot_ms: float
    load_ms: float
    idle_timeout_s: float
    concurrency: int = 1
    shares_starting: bool = False
    max_workers: int | None = None
    max_life_s: float = 20 * 3600.0
    timeout_s: float = 60.0


def default_plans() -> tuple[Plan, ...]:
    """A Lambda function clearly under 20 % cold hits, a Cloud Run service near it, a RunPod endpoint clearly above."""
    return (
        Plan(
            name="summariser-lambda",
            platform="aws-lambda",
            model="summariser-q4",
            requests_per_day=900,
            session_requests=5,
            think_s=25,
            night=0.10,
            service_ms=620,
            gpu_share=None,
            boot_ms=1_900,
            load_ms=2_600,
            idle_timeout_s=240,
            max_life_s=7_200,
            timeout_s=30,
        ),
        Plan(
            name="summariser-run",
            platform="cloud-run",
            model="summariser-7b",
            requests_per_day=600,
            session_requests=2,
            think_s=22,
            crowd=3,
            night=0.05,
            service_ms=900,
            boot_ms=6_500,
            load_ms=16_000,
            idle_timeout_s=300,
            concurrency=4,
            shares_starting=True,
        ),
        Plan(
            name="summariser-runpod",
            platform="runpod",
            model="summariser-7b",
            requests_per_day=700,
            session_requests=8,
            think_s=2.5,
            night=0.06,
            service_ms=1_400,
            boot_ms=2_200,
            load_ms=7_500,
            idle_timeout_s=5,
        ),
    )


def replicate_plan() -> Plan:
    """A Replicate deployment, beside the three default endpoints where a test asks for it."""
    return Plan(
        name="summariser-replicate",
        platform="replicate",
        model="acme/summariser",
        requests_per_day=500,
        session_requests=5,
        think_s=15,
        night=0.06,
        service_ms=2_400,
        gpu_share=None,
        boot_ms=18_000,
        load_ms=35_000,
        idle_timeout_s=120,
        timeout_s=600,
    )
