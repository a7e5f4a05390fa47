"""The plots of a comparison.

Takes results as numbers and returns matplotlib `Figure`s; `svg` makes one part of a page, in the colours of the page.
"""

from __future__ import annotations

import io
import re
from collections.abc import Collection, Mapping, Sequence
from statistics import mean, stdev
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tfner.evaluation.plots import COLOURS, draw

INK, RULE = "#1c1b18", "#d8d7d2"
"""The colours of text and of lines in a figure, which `svg` replaces by those of the page. No other part has them."""
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "tfner",
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": RULE,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": RULE,
    "grid.linewidth": 0.5,
    "text.parse_math": False,
}


def curves(
    histories: Mapping[str, Sequence[Sequence[Mapping[str, float]]]], measures: Mapping[str, str], shares: Collection[str] = ()
) -> Figure:
    """Measures of the validation split by epoch, side by side: a line for each seed.

    Args:
        histories: by model the rows of the epochs of each seed.
        measures: the columns of the rows that are shown, and their names.
        shares: the columns whose axis goes from 0 to 1.
    """
    with mpl.rc_context(_STYLE):
        figure = _figure(10.5, 3.8)
        for axes, (column, label) in zip(figure.subplots(1, len(measures)), measures.items(), strict=True):
            for i, (name, rows_of_seeds) in enumerate(histories.items()):
                for k, rows in enumerate(rows_of_seeds):
                    epochs, values = [row["epoch"] for row in rows], [row[column] for row in rows]
                    axes.plot(epochs, values, color=_colour(i), marker="o", markersize=3, linewidth=1, label="" if k else name)
            axes.set(xlabel="epoch", ylabel=f"{label} (validation)")
            if column in shares:
                axes.set_ylim(-0.02, 1.02)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
            axes.grid(zorder=0)
        _legend(figure, len(histories))
        return figure


def intervals(
    values: Mapping[str, Sequence[float]], ends: Mapping[str, tuple[float, float]], xlabel: str, share: bool = False
) -> Figure:
    """A row for each model: its seeds as dots, the mean as a line across, the 95 % interval of the mean as a bar.

    With `share`, the axis goes from 0 to 1.
    """
    with mpl.rc_context(_STYLE):
        figure = _figure(10.5, 0.9 + 0.5 * len(values))
        axes = figure.add_subplot()
        for i, (name, of_seeds) in enumerate(values.items()):
            low, high = ends[name]
            axes.barh(i, high - low, left=low, height=0.5, color=_colour(i), alpha=0.25, zorder=2)
            axes.plot([mean(of_seeds)] * 2, [i - 0.25, i + 0.25], color=_colour(i), linewidth=2.5, zorder=3)
            axes.plot(of_seeds, [i] * len(of_seeds), "o", color=_colour(i), markersize=5, zorder=4)
        axes.set_yticks(range(len(values)), list(values))
        axes.invert_yaxis()
        axes.set(xlabel=xlabel, xlim=(-0.02, 1.02) if share else None)
        axes.grid(axis="x", zorder=0)
        return figure


def trends(lines: Mapping[str, Mapping[float, Sequence[float]]], xlabel: str, ylabel: str, from_zero: bool = False) -> Figure:
    """A line for each model through the means of its seeds, which are dots, over a number that varies.

    The values of the number lie side by side at equal distances, in their order, whatever lies between them.

    Args:
        lines: by model and value of the number what was measured, for each seed.
        xlabel: what varies.
        ylabel: what was measured.
        from_zero: whether its axis begins at 0, so that noise does not look like a trend.
    """
    places = {value: i for i, value in enumerate(sorted({value for of_line in lines.values() for value in of_line}))}
    with mpl.rc_context(_STYLE):
        figure = _figure(max(5.0, 1.5 + 0.9 * len(places)), 3.8)
        axes = figure.add_subplot()
        for i, (name, of_line) in enumerate(lines.items()):
            shown = sorted(of_line)
            axes.plot(
                [places[v] for v in shown], [mean(of_line[v]) for v in shown], color=_colour(i), linewidth=1.5, label=name
            )
            dots = [(places[v], one) for v in shown for one in of_line[v]]
            axes.plot(*zip(*dots, strict=True), "o", color=_colour(i), markersize=4, alpha=0.6)
        axes.set_xticks(range(len(places)), [f"{value:g}" for value in places])
        axes.set(xlabel=xlabel, ylabel=ylabel)
        if from_zero:
            axes.set_ylim(0, 1.05 * axes.get_ylim()[1])
        axes.grid(zorder=0)
        _legend(figure, len(lines))
        return figure


def bars(groups: Mapping[str, Mapping[str, Sequence[float]]], models: Sequence[str], ylabel: str = "F1") -> Figure:
    """Groups of bars, one for each model: the mean over seeds, with the standard deviation where there are several.

    Args:
        groups: by group and model the value of each seed.
        models: the names of the models, in the order of their colours.
        ylabel: what the values are.
    """
    with mpl.rc_context(_STYLE):
        figure = _figure(min(16.0, max(5.0, 1.5 + (0.35 * len(models) + 0.4) * len(groups))), 3.6)
        axes = figure.add_subplot()
        width = 0.8 / len(models)
        for i, name in enumerate(models):
            places = [g + (i - (len(models) - 1) / 2) * width for g, by in enumerate(groups.values()) if name in by]
            values = [by[name] for by in groups.values() if name in by]
            axes.bar(places, [mean(v) for v in values], width * 0.92, color=_colour(i), label=name, zorder=2)
            deviations = [stdev(v) if len(v) > 1 else 0.0 for v in values]
            axes.errorbar(places, [mean(v) for v in values], deviations, fmt="none", ecolor=INK, elinewidth=1, zorder=3)
        axes.set_xticks(range(len(groups)), list(groups), rotation=90 if len(groups) > 12 else 0)
        axes.set_ylim(0, 1.02)
        axes.set_ylabel(ylabel)
        axes.grid(axis="y", zorder=0)
        _legend(figure, len(models))
        return figure


def svg(figure: Figure, label: str) -> str:
    """A figure as an `<svg>` element with transparent ground, whose text and lines have the colours of the page.

    Args:
        figure: a figure of this module.
        label: what it shows, for people who cannot see it.
    """
    text = io.StringIO()
    with mpl.rc_context(_STYLE):
        draw(figure, text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    element = text.getvalue()
    element = element[element.index("<svg") :]
    element = re.sub(r"<metadata>.*?</metadata>", "", element, flags=re.DOTALL)
    element = element.replace(INK, "var(--ink)").replace(RULE, "var(--rule)")
    element = re.sub(r'(<svg [^>]*?)width="([\d.]+)pt" height="[\d.]+pt"', r'\1style="width: \2pt"', element, count=1)
    return element.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasSVG(figure)
    return figure


def _colour(i: int) -> str:
    colour = COLOURS[i % len(COLOURS)]
    return INK if colour == "#000000" else colour  # black cannot be seen on a dark page


def _legend(figure: Figure, entries: int) -> None:
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(entries, 4), frameon=False)
