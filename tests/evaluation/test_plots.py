import struct
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.text import Text

from tfner.evaluation import plots
from tfner.evaluation.plots import compare_curves, confusion_matrix, learning_curves, save, type_bars
from tfner.evaluation.reliability import reliability
from tfner.evaluation.scores import score
from tfner.labels import CONLL_LABELS, LabelSet

HISTORY = [
    {"epoch": 1, "loss": 0.9, "val_loss": 0.4, "precision": 0.6, "recall": 0.5, "f1": 0.55, "accuracy": 0.9},
    {"epoch": 2, "loss": 0.5, "val_loss": 0.3, "precision": 0.8, "recall": 0.7, "f1": 0.75, "accuracy": 0.95},
    {"epoch": 3, "loss": 0.2, "val_loss": 0.2, "precision": 0.7, "recall": 0.7, "f1": 0.70, "accuracy": 0.96},
]
TAGS = [["B-PER", "I-PER", "O"], ["B-ORG", "O", "O", "B-MISC"]]
GUESS = [["B-PER", "I-PER", "O"], ["B-LOC", "O", "B-ORG", "O"]]
SCORES = score(TAGS, GUESS, CONLL_LABELS, interval_samples=50)


def lines(axes):
    return {line.get_label(): line for line in axes.get_lines()}


def texts(axes):
    return [text.get_text() for text in axes.texts]


def test_learning_curves_draw_each_column_under_its_name():
    losses, shares = learning_curves(HISTORY).axes
    assert list(lines(losses)["training"].get_ydata()) == [0.9, 0.5, 0.2]
    assert list(lines(losses)["validation"].get_ydata()) == [0.4, 0.3, 0.2]
    assert list(lines(shares)["recall"].get_ydata()) == [0.5, 0.7, 0.7]
    assert list(lines(shares)["F1"].get_ydata()) == [0.55, 0.75, 0.70]


@pytest.mark.parametrize(("best", "epoch"), [("f1", 2), ("val_loss", 3), ("accuracy", 3)])
def test_the_best_epoch_is_marked(best, epoch):
    marked = lines(learning_curves(HISTORY, best=best).axes[0])[f"best epoch ({epoch})"]
    assert list(marked.get_xdata()) == [epoch, epoch]


def test_epoch_ticks_are_whole_numbers_even_for_one_epoch():
    for rows in (HISTORY, HISTORY[:1]):
        ticks = learning_curves(rows).axes[0].get_xticks()
        assert all(tick == round(tick) for tick in ticks)


def test_rows_of_strings_give_the_same_curves():
    rows = [{name: str(value) for name, value in row.items()} for row in HISTORY]
    rows[0]["f1"] = ""
    values = lines(learning_curves(rows).axes[1])["F1"].get_ydata()
    assert np.isnan(values[0])
    assert list(values[1:]) == [0.75, 0.70]


def test_models_with_different_numbers_of_epochs_are_compared():
    losses, shares = compare_curves({"finetune": HISTORY, "head": HISTORY[:2]}).axes
    assert list(lines(shares)["head"].get_xdata()) == [1, 2]
    assert lines(shares)["head"].get_color() != lines(shares)["finetune"].get_color()
    assert lines(losses)["head, training"].get_color() == lines(losses)["head, validation"].get_color()


def test_cells_show_numbers_of_words_and_colours_show_shares_of_the_row():
    axes = confusion_matrix(SCORES).axes[0]
    assert sorted(texts(axes)) == ["1", "1", "1", "1", "1", "2"]
    shares = axes.images[0].get_array()
    assert shares[0, 0] == pytest.approx(2 / 3)  # O: two correct, one predicted as B-ORG
    assert shares[0, 3] == pytest.approx(1 / 3)
    assert [label.get_text() for label in axes.get_yticklabels()] == list(CONLL_LABELS.names)


def test_a_matrix_of_45_tags_has_no_numbers():
    labels = LabelSet((*(f"T{i}" for i in range(43)), "PRP$", "WP$"), plain=True)
    axes = confusion_matrix(score([list(labels.names)], [list(labels.names)], labels)).axes[0]
    assert texts(axes) == []
    assert len(axes.get_xticklabels()) == 45


def test_type_bars_show_types_that_occur_and_overall_for_each_model():
    axes = type_bars({"finetune": SCORES, "head": score(TAGS, TAGS, CONLL_LABELS)}).axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["PER", "ORG", "LOC", "MISC", "overall"]
    first, second = (container for container in axes.containers if len(container) == 5)
    assert [bar.get_height() for bar in first] == pytest.approx([1, 0, 0, 0, 2 * 1 / 6])
    assert [bar.get_height() for bar in second] == [1, 1, 0, 1, 1]


@pytest.mark.parametrize("draw", [learning_curves, compare_curves, type_bars])
def test_nothing_to_draw_raises(draw):
    with pytest.raises(ValueError, match="no "):
        draw({})


@pytest.mark.parametrize(
    "draw",
    [
        lambda: learning_curves(HISTORY),
        lambda: compare_curves({"a": HISTORY, "b": HISTORY}),
        lambda: confusion_matrix(SCORES),
        lambda: type_bars({"a": SCORES, "b": SCORES}),
    ],
)
def test_the_same_figure_gives_the_same_png(draw, tmp_path):
    first, second = save(draw(), tmp_path / "first.png"), save(draw(), str(tmp_path / "second.png"))
    data = first.read_bytes()
    assert data == second.read_bytes()
    assert data.startswith(b"\x89PNG")
    assert b"Software" not in data
    width, height = struct.unpack(">II", data[16:24])
    assert 400 <= width <= 2000
    assert 400 <= height <= 2000
    assert {path.name for path in tmp_path.iterdir()} == {"first.png", "second.png"}


def test_reliability_has_a_panel_for_each_kind_of_prediction():
    one = reliability([0.2, 0.9, 1.0], [False, True, True])
    figure = plots.reliability_plot({"words": one, "entities": one})
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert titles == [f"{name}: calibration error {one.error:.4f}" for name in ("words", "entities")]
    assert len(figure.axes) == 4


def test_a_missing_folder_raises_an_os_error(tmp_path):
    with pytest.raises(OSError, match="No such file"):
        save(learning_curves(HISTORY), tmp_path / "missing" / "curves.png")


def test_importing_plots_imports_neither_pyplot_nor_tensorflow():
    code = "import sys, tfner.evaluation.plots; sys.exit(bool({'matplotlib.pyplot', 'tensorflow'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_characters_of_other_alphabets_are_drawn_in_a_font_that_has_them(tmp_path, monkeypatch):
    monkeypatch.setattr(plots, "CJK_FONTS", ("no such font", "DejaVu Serif"))
    figure = confusion_matrix(SCORES)
    plots.draw(figure, tmp_path / "m.png")
    assert {tuple(text.get_fontfamily()) for text in figure.findobj(Text)} == {("DejaVu Sans", "DejaVu Serif")}


def test_labels_beyond_the_latin_alphabet_are_drawn_without_warnings(tmp_path, recwarn):
    tags = [["B-人名", "I-人名", "O", "B-地名"]]
    save(confusion_matrix(score(tags, tags, LabelSet.from_tags(tags), interval_samples=10)), tmp_path / "m.png")
    assert not [str(warning.message) for warning in recwarn]
