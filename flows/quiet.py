"""Settings of Prefect and MLflow that must stand before either is imported; what the user set stays."""

from __future__ import annotations

import logging
import os
import sys

# No usage reports to anybody, no banners in between our own lines, and time enough for Prefect's own server to start.
DEFAULTS = {
    "DO_NOT_TRACK": "true",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "GX_ANALYTICS_ENABLED": "false",
    # Prefect logs every failed run with its traceback; a command says in one line what happened and what to do.
    "PREFECT_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_INTERNAL_LEVEL": "CRITICAL",
    "PREFECT_SERVER_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
}


class ToStderr(logging.Handler):
    """One line a record on whatever standard error is now: a running progress bar puts itself in its place."""

    def emit(self, record: logging.LogRecord) -> None:
        sys.stderr.write(f"fortnight: {self.format(record)}\n")


def speak() -> None:
    """Shows Fortnight's own log lines, and only there."""
    log = logging.getLogger("fortnight")
    log.addHandler(ToStderr(level=logging.DEBUG if os.environ.get("FORTNIGHT_DEBUG") else logging.WARNING))
    log.propagate = False


def settle() -> None:
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
