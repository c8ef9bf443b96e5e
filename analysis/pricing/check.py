"""What is wrong with a price book: each contradiction with the figure that is right."""

from __future__ import annotations

import ast
import operator
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from analysis.pricing.rows import RULES, PriceRow

# A source says "about $0.24": a claim holds when it is this close, or rounds to what is printed.
ABOUT = Decimal("0.015")
_OPERATORS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """
    Args:
        kind: of a row: stale, contradictory, incomplete, closed, hypothetical, dated; of a claim: its own kind.
        detail: one sentence: what it says, and what is right.
        right: the right figure or fact on its own, where there is one.
        level: "error" fails the check, "note" does not.
    """

    row: str
    kind: str
    detail: str
    right: str | None = None
    level: Literal["error", "note"] = "error"


def evaluate(formula: str) -> Decimal:
    """
    A formula of numbers, + - * / and brackets, exact in Decimal.

    Raises:
        ValueError: anything else is in it.
    """
    try:
        return _value(ast.parse(formula, mode="eval").body, formula)
    except (SyntaxError, RecursionError, ZeroDivisionError, ArithmeticError) as exc:
        raise ValueError(f"{formula!r} is not arithmetic") from exc


def _value(node: ast.expr, formula: str) -> Decimal:
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        return _OPERATORS[type(node.op)](_value(node.left, formula), _value(node.right, formula))
    if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)) and not isinstance(node.value, bool):
        # The digits as written: a float would already have lost them.
        return Decimal(ast.get_source_segment(formula, node) or "")
    raise ValueError(f"{formula!r} is not arithmetic")


def _figure(value: Any) -> Any:
    try:
        figure = Decimal(value) if isinstance(value, str) else None
    except InvalidOperation:
        figure = None
    if figure is None or not figure.is_finite() or (figure and not -18 <= figure.adjusted() <= 18):
        raise ValueError(f"{value!r} is not a figure; write it as a string")
    return figure


class Claim(BaseModel):
    """
    One figure or statement of the source a book audits.

    Args:
        id: stable, kebab-case.
        says: what the source says, in its words or close to them.
        stated: the figure it prints, with `formula`, the recomputation from its own inputs.
        right: what is right, in words; for a claim that fails.
        kind: arithmetic is recomputed; contradiction, underivable and fact are judged by reading, and always reported.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    id: str
    says: str
    kind: Literal["arithmetic", "contradiction", "underivable", "fact"]
    stated: Annotated[Decimal, BeforeValidator(_figure)] | None = None
    formula: str | None = None
    unit: str = ""
    right: str = ""
    row: str = Field("", description="row the claim is about")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.kind == "arithmetic":
            if self.stated is None or self.formula is None:
                raise ValueError("an arithmetic claim needs `stated` and `formula`")
            evaluate(self.formula)
        elif not self.right:
            raise ValueError(f"a claim of kind {self.kind} needs `right`")
        return self


def agrees(stated: Decimal, recomputed: Decimal, *, about: Decimal = ABOUT) -> bool:
    """Whether `recomputed` may be printed as `stated`: it rounds to it, or is within `about` of it."""
    half = Decimal(5).scaleb(stated.as_tuple().exponent - 1)  # type: ignore[operator]
    return abs(recomputed - stated) <= max(half, about * stated)


def check_claims(claims: Iterable[Claim]) -> list[Problem]:
    """Claims that do not hold, each with the right figure."""
    problems = []
    for claim in claims:
        if claim.kind != "arithmetic":
            problems.append(
                Problem(row=claim.row or claim.id, kind=claim.kind, detail=f"says {claim.says}; {claim.right}", right=claim.right)
            )
            continue
        assert claim.stated is not None and claim.formula is not None
        figure = evaluate(claim.formula)
        if not agrees(claim.stated, figure):
            right = f"{shown(figure)} {claim.unit}".strip()
            tail = f"; {claim.right}" if claim.right else ""
            detail = f"says {claim.says}; {claim.formula} = {right}, {_times(claim.stated, figure)}{tail}"
            problems.append(Problem(row=claim.row or claim.id, kind="arithmetic", detail=detail, right=right))
    return problems


def check_rows(rows: Iterable[PriceRow], *, today: date, max_age_days: int) -> list[Problem]:
    """Stale, contradictory, incomplete, closed and hypothetical rows, in the book's order."""
    problems: list[Problem] = []
    for row in rows:
        problems += _age(row, today, max_age_days) + _stated(row) + _gaps(row)
    return problems


def _age(row: PriceRow, today: date, max_age_days: int) -> list[Problem]:
    if row.closed is not None:
        return []
    age = (today - row.read_on).days
    if age < 0:
        return [Problem(row=row.name, kind="contradictory", detail=f"read_on {row.read_on} lies after today, {today}")]
    if age > max_age_days:
        detail = (
            f"read {age} days ago, on {row.read_on}; the limit is {max_age_days}. "
            f"Read {row.source} again, or run `fortnight prices refresh`"
        )
        return [Problem(row=row.name, kind="stale", detail=detail)]
    if row.as_of is not None and (today - row.as_of).days > max_age_days:
        detail = f"its source speaks for {row.as_of}, {(today - row.as_of).days} days ago, though it was read on {row.read_on}"
        return [Problem(row=row.name, kind="dated", detail=detail, level="note")]
    return []


def _stated(row: PriceRow) -> list[Problem]:
    problems = []
    for name, rate in row.rates.items():
        hourly = rate.usd_per_hour
        if rate.stated_usd_per_hour is None or hourly is None or agrees(rate.stated_usd_per_hour, hourly, about=Decimal("0.005")):
            continue
        right = f"${shown(hourly)} per hour"
        stated = rate.stated_usd_per_hour
        detail = f"{name}: its source says ${stated} per hour, but {rate.first:f} {rate.unit} is {right}, {_times(stated, hourly)}"
        problems.append(Problem(row=row.name, kind="contradictory", detail=detail, right=right))
    return problems


def _gaps(row: PriceRow) -> list[Problem]:
    if row.closed is not None:
        return [Problem(row=row.name, kind="closed", detail=f"{row.system} closed on {row.closed}: {row.note}", level="note")]
    problems = []
    for rate, reason in row.absent.items():
        needed = rate in RULES[row.rule]
        detail = f"no {rate} rate: {reason}" + ("; the row prices nothing until it is entered" if needed else "")
        problems.append(Problem(row=row.name, kind="incomplete", detail=detail, level="note"))
    if not row.source.strip() or not row.region.strip():
        problems.append(Problem(row=row.name, kind="incomplete", detail="source and region must say where the price was read and holds"))
    if row.hypothetical:
        problems.append(
            Problem(row=row.name, kind="hypothetical", detail=row.note or "no such product was sold at this price", level="note")
        )
    return problems


def _times(stated: Decimal, right: Decimal) -> str:
    if not stated or not right:
        return "not the same"
    factor = right / stated if right > stated else stated / right
    return f"{shown(factor)} times {'more' if right > stated else 'less'}"


def shown(value: Decimal) -> str:
    """A figure as people write it: two decimals from 10 on, four significant digits below, no exponent."""
    if abs(value) >= 10:
        return f"{value:.2f}".removesuffix(".00")
    text = f"{Decimal(f'{value:.4g}'):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
