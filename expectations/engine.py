"""Runs expectations over a frame through Great Expectations and turns its answer into plain results."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from expectations.result import Rule, SuiteResult
from trial.errors import CheckError

if TYPE_CHECKING:
    import pandas as pd


def run(frame: pd.DataFrame, *, suite: str, expectations: Sequence[Any]) -> SuiteResult:
    """
    Args:
        frame: one batch, with default dtypes (pyarrow-backed columns are 12 times slower in Great Expectations).
        expectations: Great Expectations objects whose `meta` holds {"rule": name} and whose severity is set.

    Raises:
        CheckError: an expectation could not be evaluated, which says nothing about the rows.
    """
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    # It tells of every temporary folder it makes, in between the lines that matter, and sets that logger's level itself.
    for name in ("great_expectations", "great_expectations.data_context.types.base"):
        logging.getLogger(name).setLevel(logging.WARNING)
    frame = frame.reset_index(drop=True)
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
    asset = context.data_sources.add_pandas("frames").add_dataframe_asset(suite)
    batch = asset.add_batch_definition_whole_dataframe("batch")
    definition = context.validation_definitions.add(
        gx.ValidationDefinition(
            name=suite, data=batch, suite=context.suites.add(gx.ExpectationSuite(name=suite, expectations=list(expectations)))
        )
    )
    outcome = definition.run(batch_parameters={"dataframe": frame}, result_format={"result_format": "COMPLETE"})
    rules: list[Rule] = []
    broken: dict[int, list[str]] = {}
    order = {e.meta["rule"]: i for i, e in enumerate(expectations)}
    # Great Expectations answers grouped by column; the suite's own order is the one people read.
    for result in sorted(outcome.results, key=lambda r: order[_name(r)]):
        rule = _rule(result, suite, len(frame))
        rules.append(rule)
        if rule.severity == "critical":
            for index in _unexpected(result):
                broken.setdefault(index, []).append(rule.name)
    return SuiteResult(
        suite=suite, rows=len(frame), rules=tuple(rules), broken_rows={i: tuple(names) for i, names in sorted(broken.items())}
    )


def _name(result: Any) -> str:
    return str(result.expectation_config.meta["rule"])


def _rule(result: Any, suite: str, rows: int) -> Rule:
    name = _name(result)
    # An expectation that raised comes back as a plain failure, in one of two shapes.
    info = result.exception_info or {}
    shapes = [info] if "raised_exception" in info else [v for v in info.values() if isinstance(v, dict)]
    raised = next((shape for shape in shapes if shape.get("raised_exception")), None)
    if raised:
        raise CheckError(
            f"could not be evaluated: {str(raised.get('exception_message')).splitlines()[0]}",
            where=f"expectation {name} of {suite}",
            do="Nothing was stored for this day; please report it",
        )
    found = result.result or {}
    broken = found.get("unexpected_count", 0 if result.success else 1)
    examples = tuple(str(v) for v in (found.get("partial_unexpected_list") or [])[:3])
    severity = result.expectation_config.severity or "critical"
    return Rule(
        name=name,
        severity=str(getattr(severity, "value", severity)),
        checked=found.get("element_count", rows),
        broken=int(broken or 0),
        examples=examples,
    )


def _unexpected(result: Any) -> list[int]:
    return [int(i) for i in (result.result or {}).get("unexpected_index_list") or []]
