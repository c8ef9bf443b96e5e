"""What a suite says of a batch: plain data, breaking it is no exception."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One expectation's outcome. `severity` is "critical" (rows that break it are quarantined) or "warning"."""

    name: str
    severity: str
    checked: int
    broken: int
    examples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteResult:
    """
    Args:
        rules: every rule of the suite, in its order.
        broken_rows: row index -> names of the critical rules it breaks.
    """

    suite: str
    rows: int
    rules: tuple[Rule, ...]
    broken_rows: Mapping[int, tuple[str, ...]] = field(default_factory=dict)

    @property
    def success(self) -> bool:
        return all(rule.broken == 0 for rule in self.rules)

    def to_json(self) -> dict[str, Any]:
        return {
            "suite": self.suite,
            "rows": self.rows,
            "success": self.success,
            "rules": [
                {"name": r.name, "severity": r.severity, "checked": r.checked, "broken": r.broken, "examples": list(r.examples)}
                for r in self.rules
            ],
        }


def add(results: list[SuiteResult], *, suite: str) -> dict[str, Any]:
    """The batches of one day as one outcome, in the shape of SuiteResult.to_json."""
    totals: dict[str, Rule] = {}
    for result in results:
        for rule in result.rules:
            seen = totals.get(rule.name)
            totals[rule.name] = (
                rule
                if seen is None
                else Rule(
                    name=rule.name,
                    severity=rule.severity,
                    checked=seen.checked + rule.checked,
                    broken=seen.broken + rule.broken,
                    examples=(seen.examples + rule.examples)[:3],
                )
            )
    return SuiteResult(suite=suite, rows=sum(r.rows for r in results), rules=tuple(totals.values())).to_json()
