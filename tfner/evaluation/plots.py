"""Plots of a training and of its scores: learning curves, confusion matrices, bars for each type.

Takes rows of `history.csv` and `Scores`, and returns matplotlib `Figure`s, which a notebook displays and `save` writes as PNG.
pyplot is not used, as it needs global state and may open windows.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator

from tfner.evaluation.reliability import Reliability
from tfner.evaluation.scores import Scores

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""The palette of Okabe and Ito ("Color Universal Design", 2008), which suits every kind of colour vision. Yellow is left out,
because it is hard to see on white."""

CJK_FONTS = (
    "Noto Sans CJK JP",
    "Noto Sans CJK SC",
    "Source Han Sans",
    "WenQuanYi Zen Hei",
    "IPAGothic",
    "Hiragino Sans",
    "Microsoft YaHei",
    "Malgun Gothic",
    "Arial Unicode MS",
)
"""Fonts of the usual systems with Chinese, Japanese or Korean characters."""

_MARKERS = "osD^vPX"
_MOST_LABELS_WITH_COUNTS = 24  # cells of a larger confusion matrix are too small for numbers
_DPI = 120

History = Sequence[Mapping[str, str | float]]


def learning_curves(history: History, title: str = "Learning curves", best: str = "f1") -> Figure:
    """Losses on the left, validation precision, recall, F1 and accuracy on the right, by epoch.

    Args:
        history: rows with epoch, loss, val_loss, precision, recall, f1 and accuracy. Values may be strings, as `csv` reads
            them; an empty one is left out.
        title: the heading.
        best: the column whose best value (lowest for a loss, otherwise highest) decides which epoch the dotted line marks.

    Raises:
        ValueError: for a history without rows.
    """
    figure, (losses, shares) = _panels(title)
    for axes, columns in (
        (losses, {"loss": "training", "val_loss": "validation"}),
        (shares, {"precision": "precision", "recall": "recall", "f1": "F1", "accuracy": "accuracy"}),
    ):
        for i, (column, label) in enumerate(columns.items()):
            _curve(axes, history, column, i, label)
    values = _column(history, best)
    if not np.isnan(values).all():
        at = np.nanargmin(values) if "loss" in best else np.nanargmax(values)
        epoch = _column(history, "epoch")[at]
        for axes in (losses, shares):
            axes.axvline(epoch, color="0.45", linestyle=":", zorder=1, label=f"best epoch ({epoch:g})")
    _finish(losses, "loss per label")
    _finish(shares, "score (validation)")
    return figure


def compare_curves(histories: Mapping[str, History], title: str = "Learning curves") -> Figure:
    """The curves of several models: losses on the left (training dashed, validation solid), validation F1 on the right.

    Args:
        histories: the rows of each model by its name, as for `learning_curves`. The numbers of epochs may differ.
        title: the heading.

    Raises:
        ValueError: if there is no model, or a model without rows.
    """
    if not histories:
        raise ValueError("no histories to compare")
    figure, (losses, shares) = _panels(title)
    for i, (name, history) in enumerate(histories.items()):
        _curve(losses, history, "loss", i, f"{name}, training", linestyle="--", markerfacecolor="white")
        _curve(losses, history, "val_loss", i, f"{name}, validation")
        _curve(shares, history, "f1", i, name)
    _finish(losses, "loss per label")
    _finish(shares, "F1 (validation)")
    return figure


def confusion_matrix(scores: Scores, title: str = "Words by gold and predicted tag") -> Figure:
    """The confusion matrix of words: a colour is a share of the words with a gold tag, a number counts words.

    The shares of a row add up to 1, so that the frequent tag `O` does not hide the others. The colour scale is a square root,
    which keeps a share of 1 % visible. With more than 24 labels the cells contain no numbers.
    """
    n = len(scores.labels)
    counts = scores.confusion
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = 3.0 + 0.62 * n if n <= _MOST_LABELS_WITH_COUNTS else 3.0 + 0.2 * n
    figure = Figure(figsize=(side + 1.2, side - 0.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    image = axes.imshow(shares, cmap="Blues", norm=PowerNorm(0.5, 0, 1))
    size = 9 if n <= _MOST_LABELS_WITH_COUNTS else 7
    axes.set_xticks(range(n), scores.labels, rotation=90 if n > 6 else 0, fontsize=size, parse_math=False)
    axes.set_yticks(range(n), scores.labels, fontsize=size, parse_math=False)  # PRP$ is not a formula
    axes.set(xlabel="predicted tag", ylabel="gold tag")
    axes.set_title(title, fontsize=12)
    axes.set_xticks(np.arange(n + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(n + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="0.9", linewidth=0.5)
    axes.tick_params(which="minor", length=0)
    if n <= _MOST_LABELS_WITH_COUNTS:
        for row, column in np.argwhere(counts):
            text = f"{counts[row, column]}"
            colour = "white" if shares[row, column] > 0.3 else "black"
            axes.text(
                column, row, text, ha="center", va="center", color=colour, fontsize=8 if len(text) < 6 else 40 / len(text)
            )
    figure.colorbar(
        image,
        ax=axes,
        label="share of the gold tag's words",
        fraction=0.04,
        pad=0.02,
        ticks=[0, 0.01, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1],
    )
    return figure


def type_bars(scores_by_model: Mapping[str, Scores], title: str = "F1 per type") -> Figure:
    """F1 of every type that occurs, several models side by side, and the overall F1 at the right end.

    The bar of the overall F1 shows its 95 % interval if the scores have one.

    Raises:
        ValueError: if there is no model.
    """
    if not scores_by_model:
        raise ValueError("no scores to draw")
    types = dict.fromkeys(
        name for scores in scores_by_model.values() for name, s in scores.per_type.items() if s.number or s.predicted
    )
    groups, models = [*types, "overall"], len(scores_by_model)
    width = 0.8 / models
    written = len(groups) * models <= 24  # with few bars there is room for a value over each
    figure = Figure(figsize=(min(16, 2.5 + max(0.9, 0.42 * models if written else 0.16 * models) * len(groups)), 4.5))
    figure.set_layout_engine("constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for i, (model, scores) in enumerate(scores_by_model.items()):
        values = [scores.per_type[t].f1 if t in scores.per_type else 0.0 for t in types] + [scores.overall.f1]
        places = np.arange(len(groups)) + (i - (models - 1) / 2) * width
        axes.bar(places, values, width * 0.94, label=model, color=COLOURS[i % len(COLOURS)], zorder=2)
        top = _error_bar(axes, places[-1], scores)
        if written:
            for place, value, height in zip(places, values, [*values[:-1], top], strict=True):
                axes.annotate(f"{value:.3f}", (place, height), (0, 3), textcoords="offset points", ha="center", fontsize=8)
    axes.axvline(len(groups) - 1.5, color="0.6", linewidth=1)
    axes.set_xlim(-0.6, len(groups) - 0.4)
    axes.set_xticks(
        range(len(groups)), groups, rotation=90 if max(map(len, groups)) > 9 or len(groups) > 12 else 0, parse_math=False
    )
    axes.set_ylim(0, 1.06)
    axes.set_ylabel("F1")
    axes.set_title(title, fontsize=12)
    axes.grid(axis="y", color="0.9", zorder=0)
    axes.spines[["top", "right"]].set_visible(False)
    if models > 1:
        figure.legend(loc="outside lower center", ncols=min(models, 5), frameon=False)
    return figure


def reliability_plot(found: Mapping[str, Reliability], title: str = "Reliability of scores") -> Figure:
    """For each kind of prediction, the share that is right in each bin of scores, and below how many there are.

    A model whose scores are probabilities is on the diagonal.

    Args:
        found: the reliability of each kind, by its name.
        title: the heading.
    """
    figure = Figure(figsize=(5.2 * len(found), 5.6), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=12)
    panels = figure.subplots(2, len(found), sharex=True, squeeze=False, height_ratios=(3, 1))
    for i, (name, one) in enumerate(found.items()):
        upper, lower = panels[:, i]
        counts, width = np.array(one.counts), 1 / len(one.counts)
        middles = (np.arange(len(counts)) + 0.5) * width
        some = counts > 0
        upper.bar(middles[some], np.array(one.right)[some], width * 0.92, color=COLOURS[0], zorder=2)
        upper.plot([0, 1], [0, 1], color="0.45", linestyle=":", zorder=3)
        upper.plot(np.array(one.scores)[some], np.array(one.right)[some], "o", color="black", markersize=3, zorder=4)
        upper.set(ylim=(0, 1.02), ylabel="share that is right", title=f"{name}: calibration error {one.error:.4f}")
        lower.bar(middles[some], counts[some], width * 0.92, color="0.6")
        lower.set(yscale="log", xlabel="score", ylabel="number", xlim=(0, 1))
    return figure


def _error_bar(axes: Axes, place: float, scores: Scores) -> float:
    """Draws the interval of the overall F1 if there is one, and returns the height of the bar with it."""
    f1 = scores.overall.f1
    if not scores.interval:
        return f1
    low, high = scores.interval
    ends = [[max(0.0, f1 - low)], [max(0.0, high - f1)]]
    axes.errorbar([place], [f1], ends, color="black", capsize=3, linewidth=1, zorder=3)
    return max(f1, high)


def draw(figure: Figure, target: Path | TextIO, **options: Any) -> None:
    """Writes a figure as `Figure.savefig` does, in fonts that have its characters.

    Characters that matplotlib's own font lacks are drawn in a font for Chinese, Japanese and Korean if one is installed, and as
    boxes otherwise.
    """
    installed = {font.name for font in fontManager.ttflist}
    for text in figure.findobj(Text):
        text.set_fontfamily(["DejaVu Sans", *(name for name in CJK_FONTS if name in installed)])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from")
        figure.savefig(target, **options)


def save(figure: Figure, path: str | Path) -> Path:
    """Writes a figure as PNG, beside `path` and then renamed. The same figure gives the same bytes.

    Raises:
        OSError: if `path` cannot be written.
    """
    path = Path(path)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        # without Software, which is the version of matplotlib, the bytes depend on the figure alone
        draw(figure, beside, format="png", dpi=_DPI, facecolor="white", metadata={"Software": None})
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    return path


def _panels(title: str) -> tuple[Figure, tuple[Axes, Axes]]:
    figure = Figure(figsize=(11, 4.4), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=12)
    left, right = figure.subplots(1, 2)
    return figure, (left, right)


def _column(history: History, name: str) -> np.ndarray:
    """A column as float64, shape (epochs,), with NaN for missing values."""
    if not history:
        raise ValueError("the history has no rows")
    return np.array([np.nan if row.get(name) in (None, "") else float(row[name]) for row in history])


def _curve(axes: Axes, history: History, column: str, i: int, label: str, **style: str) -> None:
    values = _column(history, column)
    look: dict[str, Any] = {"color": COLOURS[i % len(COLOURS)], "marker": _MARKERS[i % len(_MARKERS)], "markersize": 5, **style}
    if not np.isnan(values).all():
        axes.plot(_column(history, "epoch"), values, label=label, zorder=2, **look)


def _finish(axes: Axes, ylabel: str) -> None:
    axes.set(xlabel="epoch", ylabel=ylabel)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(color="0.9", zorder=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=True, framealpha=0.9, edgecolor="0.85", fontsize=9)
