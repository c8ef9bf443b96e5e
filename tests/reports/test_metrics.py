from reports.metrics import METRICS, definition
from reports.mlflow_runs import wanted_runs


def test_every_metric_that_is_logged_is_defined(result, config):
    logged = {name for run in wanted_runs(result, config=config) for step in run.steps for name in step.metrics}
    assert len(logged) > 30
    assert sorted(name for name in logged if definition(name) is None) == []


def test_names_carry_their_unit_and_are_defined_once():
    names = [m.name for m in METRICS]
    assert len(names) == len(set(names))
    assert all(m.meaning and m.unit for m in METRICS)
