"""One CloudWatch Logs event of a Lambda function, judged alone."""

from __future__ import annotations

from typing import Any

import orjson

from collectors.aws_lambda.facts import HandlerLine, LambdaFact
from collectors.aws_lambda.json_lines import parse_platform
from collectors.aws_lambda.streams import belongs_to
from collectors.aws_lambda.text_lines import APPLICATION_LINE, BLANK, parse_text
from collectors.lines import handler_fields, own_line
from collectors.serving_lines import request_fields
from trial.records import Ignored, RawEvent, Rejected

Outcome = LambdaFact | Ignored | Rejected

# How our own writer begins its lines.
OWN = '{"fortnight":'

OTHER_FUNCTION = Ignored(reason="other_function")


def parse(event: RawEvent, endpoint: Any) -> Outcome:
    """
    A fact, or why there is none.

    Ignored reasons: application_line, platform_event, extension, xray, report_lookalike, blank, other_function (of a
    shared log group), and those of collectors.serving_lines. Rejected reasons: truncated_*, malformed_*, truncated_json,
    broken_handler_line, not_text.
    """
    # Streams of the function's own group have the version where a shared group's have the name.
    stream = event.stream
    if stream[11:12] != "[":
        function = getattr(endpoint, "function", None)
        if function is not None and not belongs_to(stream, function):
            return OTHER_FUNCTION
    payload = event.payload
    if type(payload) is str:
        if payload[:13] == OWN and endpoint.keep_warm is None:
            line = own_line(payload)
            if line is not None:
                return HandlerLine(event.at, stream, line.request_id, line)
        return _from_text(payload, event, endpoint)
    return parse_object(payload, payload, event, endpoint)


def _from_text(payload: str, event: RawEvent, endpoint: Any) -> Outcome:
    text = payload.strip()
    if not text:
        return BLANK
    if text[0] != "{":
        return _from_line(text, event, endpoint)
    try:
        data = orjson.loads(text)
    except orjson.JSONDecodeError:
        return _from_broken_json(text, event, endpoint)
    return parse_object(data, text, event, endpoint)


def parse_object(data: Any, printed: Any, event: RawEvent, endpoint: Any) -> Outcome:
    """A decoded event, beside what it was decoded from."""
    if type(data) is not dict:
        return Rejected(reason="not_text", detail=f"payload is {type(data).__name__}")
    kind = data.get("type")
    if type(kind) is str and kind.startswith("platform."):
        return parse_platform(kind, data, at=event.at, stream=event.stream)
    # A keep-warm pattern is written against the line as printed; nothing else needs it decoded twice.
    return _handler_line(printed if endpoint.keep_warm else data, event, endpoint) or APPLICATION_LINE


def _from_line(text: str, event: RawEvent, endpoint: Any) -> Outcome:
    outcome = parse_text(text, at=event.at, stream=event.stream)
    if outcome is APPLICATION_LINE:
        return _handler_line(text, event, endpoint) or _serving_line(text, event) or APPLICATION_LINE
    return outcome


def _from_broken_json(text: str, event: RawEvent, endpoint: Any) -> Outcome:
    if text.startswith(('{\\"', "{\\n", "{\\r")):
        # Escaped twice on its way out, as exports of exports are; pretty-printed before that, maybe.
        try:
            data = orjson.loads(orjson.loads(f'"{text}"'))
        except orjson.JSONDecodeError:
            data = None
        if type(data) is dict:
            return parse_object(data, data, event, endpoint)
    outcome = _handler_line(text, event, endpoint)
    if outcome is not None:
        return outcome
    # A line cut in two parses as neither half. Only the half that shows whose it was can be held to be a platform event.
    if '"platform.' in text[:120]:
        return Rejected(reason="truncated_json", detail=text[:300])
    return APPLICATION_LINE


def _handler_line(payload: Any, event: RawEvent, endpoint: Any) -> HandlerLine | Rejected | None:
    try:
        fields = handler_fields(payload, endpoint)
    except ValueError as exc:
        return Rejected(reason="broken_handler_line", detail=str(exc)[:300])
    return None if fields is None else HandlerLine(event.at, event.stream, fields.get("request_id"), fields)


def _serving_line(text: str, event: RawEvent) -> HandlerLine | Ignored | Rejected | None:
    try:
        served = request_fields(text)
    except ValueError as exc:
        return Rejected(reason="broken_handler_line", detail=str(exc)[:300])
    if served is None or isinstance(served, Ignored):
        return served
    # A framework's own id is not Lambda's: the line belongs to the request its environment is running.
    return HandlerLine(event.at, event.stream, None, {name: value for name, value in served.items() if name != "request_id"})
