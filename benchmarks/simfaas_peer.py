"""Runs SimFaaS on given arrivals; started by benchmarks/replay.py with the python of SimFaaS's own environment."""

from __future__ import annotations

import json
import sys
import time

import numpy as np
from simfaas.ServerlessSimulator import ServerlessSimulator
from simfaas.SimProcess import SimProcess

COLD_EXTRA_S = 0.253  # its README: 2.244 s cold, 1.991 s warm


class Given(SimProcess):
    """Hands out recorded numbers instead of drawing them."""

    def __init__(self, numbers, extra=0.0):
        self.numbers, self.extra = numbers, extra

    def generate_trace(self):
        return next(self.numbers, 1e18) + self.extra


def main() -> None:
    given = np.load(sys.argv[1])
    arrival, service = given["arrival_us"] / 1e6, iter(given["service_us"] / 1e6)
    simulation = ServerlessSimulator(
        arrival_process=Given(iter(np.diff(arrival, prepend=0.0))),
        warm_service_process=Given(service),
        cold_service_process=Given(service, COLD_EXTRA_S),
        expiration_threshold=600,
        max_time=arrival[-1] - 1e-9,
    )
    began = time.process_time()
    simulation.generate_trace()
    seconds = time.process_time() - began
    print(
        json.dumps(
            {
                "requests": simulation.total_req_count,
                "cold": simulation.total_cold_count,
                "alive_mean": simulation.get_average_server_count(),
                "cpu_s": seconds,
            }
        )
    )


if __name__ == "__main__":
    main()
