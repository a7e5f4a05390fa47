from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from support.trainings import brief, training_run

from tfner.folder import HISTORY, read_history
from tfner.labels import IGNORED_LABEL
from tfner.modeling.rows import Row
from tfner.training import report as reports
from tfner.training.report import COLUMNS, epoch_line, header, loss_and_accuracy


def a_row(number):
    return dict(zip(COLUMNS, (number, 0.5, 0.25, 0.1, 0.2, 0.3, 0.9, 12.34, 1234.5), strict=True))


def test_a_row_of_the_table_is_aligned_with_its_header():
    assert len(epoch_line(a_row(3))) == len(header())
    assert epoch_line(a_row(3)).split() == ["3", "0.5000", "0.2500", "0.1000", "0.2000", "0.3000", "0.9000", "12.3", "1234"]


def test_loss_and_accuracy_count_labelled_pieces_with_equal_weight():
    def row(*labels):
        filler = np.zeros(len(labels), np.int32)
        return Row(filler, np.array(labels, np.int32), filler, filler, filler.astype(bool))

    rows = [row(IGNORED_LABEL, 0, 1), row(2)]
    logits = [np.log([[0.1, 0.1, 0.8], [0.5, 0.3, 0.2], [0.6, 0.3, 0.1]]), np.log([[0.1, 0.1, 0.8]])]
    loss, accuracy = loss_and_accuracy(rows, [value.astype(np.float32) for value in logits])
    assert loss == pytest.approx(-np.log([0.5, 0.3, 0.8]).mean(), abs=1e-6)
    assert accuracy == pytest.approx(2 / 3)


@pytest.fixture
def report(corpus, small_encoder, tmp_path):
    found = training_run(corpus, tmp_path / "m", **brief(small_encoder))._report
    found.lines = []
    found.say = found.lines.append
    return found


def test_a_resumed_training_shows_and_writes_the_rows_of_its_epochs_so_far(report):
    report.begin([a_row(1), a_row(2)])
    assert report.lines == [header(), epoch_line(a_row(1)), epoch_line(a_row(2))]
    logs = report.end_epoch(0.125, 2.0)
    assert (logs["epoch"], logs["loss"], logs["seconds"]) == (3, 0.125, 2.0)
    assert logs["words_per_second"] == report.words / 2
    rows = read_history(report.path)
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert float(rows[2]["f1"]) == pytest.approx(logs["f1"], rel=1e-5)


def test_a_history_that_cannot_be_written_does_not_end_the_training(report):
    folder = report.path.parent
    report.path = folder / "gone" / HISTORY
    report.begin([])
    report.end_epoch(0.125, 2.0)
    warnings = [line for line in report.lines if "history.csv cannot be written" in line]
    assert len(warnings) == 2 and "goes on" in warnings[0]
    report.path = folder / HISTORY
    report.end_epoch(0.125, 2.0)
    assert len(read_history(report.path)) == 2


@pytest.mark.parametrize(("gold", "alarm"), [("O", False), ("B-PER", True)])
def test_one_label_alone_is_an_alarm_only_where_it_is_wrong(report, monkeypatch, gold, alarm):
    sentences = [replace(s, tags=(gold,) * len(s.tags)) for s in report.sentences["ner"]]
    monkeypatch.setattr(report, "sentences", {"ner": sentences})
    monkeypatch.setattr(reports, "decode", lambda *_: [SimpleNamespace(tags=("O",) * len(s.tags)) for s in sentences])
    report.begin([])
    report.end_epoch(0.125, 2.0)
    assert report.lines[-1].startswith("WARNING: every validation word" if alarm else "every validation word is 'O' and")
