"""Writes the pages that are made from definitions; `--check` fails where a page no longer says what the code does."""

from __future__ import annotations

import sys
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin

from pydantic import BaseModel

from reports.metrics import METRICS
from sandbox import cases
from sandbox.plans import default_plans
from trial import config
from trial.schema import COLUMNS

HERE = Path(__file__).parent
DEMO = {plan.platform for plan in default_plans()}
NOTE = "<!-- Made by `python -m docs.build` from {source}; edit that. -->\n\n"

SANDBOX = """# The sandbox's cases

The sandbox serves the platforms' own protocols on loopback, over traffic whose truth it knows: what happened, what the logs tell
of it, and so what a reader must find on each day (`sandbox/truth.py`). What makes logs hard to read is planted by name. The demo
has the cases marked so; a test asks for those it wants:

```python
world = build_world(days=4, cases=["timeout", "keep-warm"], plans=[default_plans()[0]])
with world.serve(folder, faults=Faults(empty_page=0.2)) as addresses:
    (folder / "trial.toml").write_text(world.trial_toml(addresses, folder))
```

What the servers do wrong (throttles, errors, cut connections, empty pages with a token) is said by `Faults`, and
`sandbox.exports.write_export` writes the same logs as files, escaped twice if asked. `tests/sandbox/test_cases.py` shows of each case
that it is there; `tests/flows/test_zoo.py` plants them together and holds each day of a collection to the planted truth.
"""


def metrics_page() -> str:
    lines = [
        NOTE.format(source="reports/metrics.py and trial/schema.py"),
        "# Metrics and columns\n\n",
        "Every metric Fortnight logs to MLflow, one step per trial day. A metric that cannot be known is absent, never 0.\n\n",
        "| metric | unit | runs | meaning |\n|---|---|---|---|\n",
    ]
    lines += [f"| `{m.name}` | {m.unit} | {m.runs} | {m.meaning} |\n" for m in METRICS]
    lines += [
        "\n## Columns of an invocation\n\n",
        "The contract of the store and of `fortnight export`: one row per inference request. Durations are in milliseconds.\n\n",
        "| column | type | may be null | meaning |\n|---|---|---|---|\n",
    ]
    lines += [f"| `{name}` | {kind} | {'yes' if nullable else 'no'} | {meaning} |\n" for name, kind, nullable, meaning in COLUMNS]
    return "".join(lines)


def configuration_page() -> str:
    lines = [
        NOTE.format(source="trial/config.py"),
        "# Configuration\n\n",
        (
            "One file, `trial.toml`, describes a trial. Unknown keys, wrong types and impossible values are errors that name the key\n"
            "and its line. Secrets are never in it, only the names of environment variables. `fortnight init` asks for what it\n"
            "needs, checks each answer, writes the file with comments, and prints what each platform must be granted.\n"
        ),
    ]
    for name, field in config.Trial.model_fields.items():
        if name in ("endpoints", "dedicated", "folder"):
            continue
        lines.append(_section(f"[{name}]", field.annotation))
    lines.append(_section("[[dedicated]]", config.Dedicated))
    lines.append(_section("[[endpoints]], every platform", config.EndpointBase))
    for model in sorted(config.EndpointBase.__subclasses__(), key=lambda m: m.__name__):
        own = [n for n in model.model_fields if n not in config.EndpointBase.model_fields]
        platform = get_args(model.model_fields["platform"].annotation)[0]
        lines.append(_section(f'[[endpoints]] with platform = "{platform}"', model, only=own))
    lines.append(_section("keep_warm = { ... }", config.KeepWarm))
    lines.append(_section("resources = { ... }", config.Resources))
    lines.append(_section("triton = { ... }", config.Triton))
    return "".join(lines)


def sandbox_page() -> str:
    lines = [NOTE.format(source="sandbox/cases.py"), SANDBOX]
    for platform in dict.fromkeys(case.platform for case in cases.CATALOGUE):
        lines.append(f"\n## `{platform}`\n\n| case | in the demo | what is planted |\n|---|---|---|\n")
        for listed, shown in ((cases.CATALOGUE, platform in DEMO), (cases.ON_REQUEST, False)):
            lines += [f"| `{c.name}` | {'yes' if shown else ''} | {c.what} |\n" for c in listed if c.platform == platform]
    return "".join(lines)


def _section(title: str, model: Any, only: list[str] | None = None) -> str:
    assert issubclass(model, BaseModel)
    doc = (model.__doc__ or "").strip().splitlines()[0]
    rows = [f"\n## `{title}`\n\n{doc}\n\n| key | type | default | meaning |\n|---|---|---|---|\n"]
    for name, field in model.model_fields.items():
        if only is None or name in only:
            default = "required" if field.is_required() else _default(field)
            rows.append(f"| `{name}` | {_type(field.annotation)} | {default} | {field.description or ''} |\n")
    return "".join(rows)


def _default(field: Any) -> str:
    if field.default_factory is not None:
        return "empty"
    return "none" if field.default is None else f"`{field.default!r}`".replace("'", '"')


def _type(annotation: Any) -> str:
    if get_origin(annotation) is UnionType or str(get_origin(annotation)) == "typing.Union":
        return _type(next(a for a in get_args(annotation) if a is not type(None)))
    if str(get_origin(annotation)) == "typing.Literal":
        return ", ".join(str(a) for a in get_args(annotation))
    if hasattr(annotation, "__metadata__"):
        return _type(annotation.__origin__)
    names = {"str": "text", "int": "whole number", "float": "number", "bool": "true or false", "date": "date", "Decimal": "number"}
    name = getattr(annotation, "__name__", str(annotation))
    return names.get(name, "table" if name in ("dict", "KeepWarm", "Resources", "Triton") else name)


PAGES = {"metrics.md": metrics_page, "configuration.md": configuration_page, "sandbox.md": sandbox_page}


def main(argv: list[str]) -> int:
    check = "--check" in argv
    stale = [name for name, page in PAGES.items() if not (HERE / name).exists() or (HERE / name).read_text(encoding="utf-8") != page()]
    if check and stale:
        print(f"docs/{stale[0]} is not what the definitions say: run `python -m docs.build`", file=sys.stderr)
        return 1
    for name in () if check else stale:
        (HERE / name).write_text(PAGES[name](), encoding="utf-8")
        print(f"wrote docs/{name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
