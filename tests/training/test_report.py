import os
import signal

import numpy as np
import pytest
from tfner.training.callbacks import COLUMNS, Interrupt, epoch_line, header, loss_and_accuracy

from tfner.labels import IGNORED_LABEL
from tfner.modeling.rows import Row


def test_a_row_of_the_table_is_aligned_with_its_header():
    row = dict(zip(COLUMNS, (3, 0.5, 0.25, 0.1, 0.2, 0.3, 0.9, 12.34, 1234.5), strict=True))
    assert len(epoch_line(row)) == len(header())
    assert epoch_line(row).split() == ["3", "0.5000", "0.2500", "0.1000", "0.2000", "0.3000", "0.9000", "12.3", "1234"]


def test_ctrl_c_is_raised_at_the_end_of_a_step_and_the_handler_is_restored():
    before = signal.getsignal(signal.SIGINT)
    with Interrupt() as interrupt:
        interrupt.on_train_batch_end(0)
        os.kill(os.getpid(), signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is before  # a second Ctrl-C is not delayed
        with pytest.raises(KeyboardInterrupt):
            interrupt.on_train_batch_end(1)
    assert signal.getsignal(signal.SIGINT) is before


def test_loss_and_accuracy_count_labelled_pieces_with_equal_weight():
    def row(*labels):
        filler = np.zeros(len(labels), np.int32)
        return Row(filler, np.array(labels, np.int32), filler, filler, filler.astype(bool))

    rows = [row(IGNORED_LABEL, 0, 1), row(2)]
    logits = [np.log([[0.1, 0.1, 0.8], [0.5, 0.3, 0.2], [0.6, 0.3, 0.1]]), np.log([[0.1, 0.1, 0.8]])]
    loss, accuracy = loss_and_accuracy(rows, [value.astype(np.float32) for value in logits])
    assert loss == pytest.approx(-np.log([0.5, 0.3, 0.8]).mean(), abs=1e-6)
    assert accuracy == pytest.approx(2 / 3)
