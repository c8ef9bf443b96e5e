"""
Draw docs/figures/verdict.svg from the calibration: run it again when the method or a scenario changes.

    python docs/figures/make_verdict_figure.py [--trials 2000] [--out docs/figures/verdict.svg]
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from analysis.judging.calibration import RESAMPLED, CalibrationResult, calibrate

INK, GRID = "#24292f", "#d8dee4"
OURS, OTHERS = "#0b5cad", {"plain threshold": "#b35900", "Wilson interval": "#8a3ffc", "beta-binomial sequence": "#57606a"}
RATES = (0.12, 0.18, 0.22, 0.30)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("verdict.svg"))
    asked = parser.parse_args(argv)
    of = calibrate("B", trials=asked.trials, seed=asked.seed, rates=RATES)
    real = calibrate(RESAMPLED, trials=asked.trials, seed=asked.seed, rates=RATES)
    draw(of, real, asked.out)
    return 0


def draw(diurnal: CalibrationResult, real: CalibrationResult, out: Path) -> None:
    """False verdicts by day under four rules, and how often the right one is reached; the same bytes for the same results."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt

    style = {"svg.hashsalt": "fortnight", "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 9, "text.color": INK}
    with mpl.rc_context({**style, "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK, "axes.edgecolor": GRID}):
        figure, (left, right) = plt.subplots(1, 2, figsize=(9.4, 3.7), sharey=True, layout="constrained", gridspec_kw={"wspace": 0.06})
        alarms = [("this verdict", OURS, diurnal.false_alarm), *((rule, OTHERS[rule], diurnal.compared[rule]) for rule in OTHERS)]
        _lines(left, alarms)
        left.set_title("Rate exactly at the threshold: every verdict is false", loc="left", fontsize=9)
        left.set_ylabel("share of trials, %")
        shades = ("#0b5cad", "#7aa7d9", "#7aa7d9", "#0b5cad")
        high = next(p for p in real.rates if p.rate == 0.30)
        powers = [(f"{100 * p.rate:.0f} %", shade, p.correct) for p, shade in zip(diurnal.rates, shades, strict=True)]
        _lines(right, [*powers, ("30 %, real streams", INK, high.correct)], dashed="30 %, real streams")
        right.set_title("Rate off the threshold of 20 %: the right verdict is out", loc="left", fontsize=9)
        figure.savefig(out, metadata={"Date": None, "Title": "False and right verdicts by day of the trial"})
        plt.close(figure)


def _lines(axes: Any, series: Sequence[tuple[str, str, Sequence[float]]], *, dashed: str = "") -> None:
    ends: list[float] = []
    for label, colour, shares in sorted(series, key=lambda one: -one[2][-1]):
        percent = [100 * s for s in shares]
        axes.plot(range(1, len(percent) + 1), percent, color=colour, linewidth=2, linestyle=(0, (3, 2)) if label == dashed else "-")
        # Labels at the line's end, from the highest down, moved apart where lines end together.
        at = percent[-1]
        while any(abs(at - other) < 6.5 for other in ends):
            at -= 1
        ends.append(at)
        axes.annotate(label, (len(percent) + 0.25, at), color=colour, va="center", fontsize=8, annotation_clip=False)
    axes.set_xlim(1, 14)
    axes.set_xticks([1, 5, 7, 10, 14])
    axes.set_ylim(0, 101)
    axes.set_xlabel("day of the trial")
    axes.grid(axis="y", color=GRID, linewidth=0.6)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(length=0)


if __name__ == "__main__":
    raise SystemExit(main())
