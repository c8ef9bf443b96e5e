"""Static SVG by matplotlib: the same bytes for the same input, ids of its own, and colours a page can turn light or dark."""

from __future__ import annotations

import html
import io
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reports.tables import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

# Drawn in these colours; a page replaces each by its variable, so that one drawing serves light, dark and print.
INK, MUTED, RULE, PAPER, ALERT = "#1a1c1f", "#585e66", "#d4d7db", "#fefefe", "#a5281b"
SERIES = ("#1c5d99", "#b1560f", "#2b7a4b", "#7a4a9c", "#7d6608", "#5b6472")
HATCHES = ("", "////", "\\\\\\\\", "||||", "----", "xxxx")  # no dots: matplotlib writes each as four curves, 170 kB a figure
MARKERS = ("o", "s", "^", "D", "v", "P")
_VARIABLES = {
    INK: "ink",
    MUTED: "muted",
    RULE: "rule",
    PAPER: "paper",
    ALERT: "alert",
    **{c: f"s{i}" for i, c in enumerate(SERIES, start=1)},
}

_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",  # text stays text: a third of the size, selectable, and set in the page's own font
    "text.parse_math": False,  # a model named "$x$" is a name
    "font.family": "sans-serif",
    "font.size": 9.5,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": MUTED,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.facecolor": "none",
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "figure.facecolor": "none",
    "figure.constrained_layout.w_pad": 0.1,  # the page's font may be a little wider than the one measured here
    "hatch.linewidth": 0.7,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "legend.labelcolor": INK,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "lines.linewidth": 1.6,
    "lines.markersize": 4.5,
}
_LOCK = threading.Lock()  # matplotlib's settings are global to the process


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """
    A drawing with the words and the numbers that stand for it.

    Args:
        name: stable; the file's name, and the prefix of every id in the drawing.
        title: what is asked.
        alt: what is to be seen, in one or two sentences with numbers.
        svg: a standalone document.
        data: the numbers behind it.
    """

    name: str
    title: str
    alt: str
    svg: str
    data: Table

    @property
    def inline(self) -> str:
        """The drawing as an element of an HTML page: no prologue, colours as the page's variables."""
        body = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", self.svg)
        for colour, variable in _VARIABLES.items():
            body = body.replace(colour, f"var(--{variable}, {colour})")
        return body


def draw(
    plot: Callable[[Canvas], None], *, name: str, title: str, alt: str, data: Table, size: tuple[float, float], legend: Sequence[Any] = ()
) -> Figure:
    """
    Lets `plot` draw on an empty canvas of `size` inches and keeps the SVG.

    Args:
        legend: handles for one legend above all axes, in order.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure as MatplotlibFigure

    out = io.BytesIO()
    settings: Any = dict(mpl.rcParamsDefault)
    settings |= {**_STYLE, "svg.hashsalt": name}
    with _LOCK, mpl.rc_context(settings):
        canvas = MatplotlibFigure(figsize=size, layout="constrained")
        FigureCanvasSVG(canvas)
        plot(canvas)
        if legend:
            canvas.legend(handles=list(legend), loc="outside upper left", ncols=len(legend), handlelength=2.2, columnspacing=1.6)
        canvas.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    return Figure(name=name, title=title, alt=alt, svg=_tidy(out.getvalue().decode(), name=name, title=title, alt=alt), data=data)


def _tidy(svg: str, *, name: str, title: str, alt: str) -> str:
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<style type="text/css">.*?</style>', "", svg, flags=re.DOTALL)
    svg = re.sub(r"<defs>\s*</defs>\s*", "", svg)
    svg = re.sub(r"font-family: [^;\"]*;?\s?", "", svg)
    svg = re.sub(r"font: (?:bold )?([\d.]+px) [^;\"]*", r"font-size: \1", svg)
    # Several drawings share a page, where an id may stand only once.
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', svg)
    svg = re.sub(r'(xlink:href="#|url\(#)', rf"\g<1>{name}-", svg)
    svg = re.sub(r'd="([^"]*)"', lambda m: f'd="{_shorter(m[1])}"', svg)
    svg = re.sub(r">\s+<", "><", svg)
    words = f'<title id="{name}-title">{html.escape(title)}</title><desc id="{name}-desc">{html.escape(alt)}</desc>'
    width, height = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg).groups()  # type: ignore[union-attr]
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 {width} {height}"'
        f' role="img" aria-labelledby="{name}-title {name}-desc" font-family="Liberation Sans, Arial, sans-serif"'
        f' stroke-linejoin="round">{words}'
    )
    return re.sub(r"^<svg[^>]*>", lambda _: head, svg)


def _shorter(path: str) -> str:
    """A path with two decimals: a hundredth of a point cannot be seen."""
    return re.sub(r"\s*\n\s*", " ", re.sub(r"\d+\.\d{3,}", lambda m: f"{float(m[0]):.2f}".rstrip("0").rstrip("."), path)).strip()
