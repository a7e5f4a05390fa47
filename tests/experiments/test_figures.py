"""Plots as parts of a page: in its colours, equal for equal values."""

import pytest

from tfner.experiments.figures import INK, bars, curves, intervals, svg, trends

VALUES = {"a": [0.5, 0.6], "b": [0.7]}


def test_a_plot_has_the_colours_of_the_page_and_a_label():
    text = svg(intervals(VALUES, {"a": (0.4, 0.7), "b": (0.6, 0.8)}, "F1"), "F1 of models")
    assert text.startswith('<svg role="img" aria-label="F1 of models"')
    assert "var(--ink)" in text
    assert INK not in text


def test_equal_values_give_equal_plots():
    one, other = (svg(bars({"PER": VALUES, "LOC": {"a": [0.1, 0.2]}}, ["a", "b"]), "bars") for _ in range(2))
    assert one == other


def test_labels_beyond_the_latin_alphabet_are_kept_without_warnings(recwarn):
    assert "人名" in svg(bars({"人名": VALUES}, ["a", "b"]), "bars")
    assert not [str(warning.message) for warning in recwarn]


def test_curves_have_a_line_for_each_seed():
    rows = [{"epoch": 1.0, "val_loss": 0.5, "f1": 0.5}, {"epoch": 2.0, "val_loss": 0.4, "f1": 0.6}]
    figure = curves({"a": [rows, rows], "b": [rows]}, {"val_loss": "loss", "f1": "F1"})
    assert [len(axes.lines) for axes in figure.axes] == [3, 3]


def test_a_trend_has_the_values_in_order_whatever_their_distance():
    lines = {"a": {0.25: [0.8, 0.9], 0.01: [0.1, 0.2]}, "b": {1.0: [0.9]}}
    axes = trends(lines, "share", "F1").axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0.01", "0.25", "1"]
    mean_of_a, dots_of_a, mean_of_b, _ = [line.get_xydata().tolist() for line in axes.lines]
    assert mean_of_a == [[0, pytest.approx(0.15)], [1, pytest.approx(0.85)]]
    assert dots_of_a == [[0, 0.1], [0, 0.2], [1, 0.8], [1, 0.9]]
    assert mean_of_b == [[2, 0.9]]
