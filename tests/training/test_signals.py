import os
import signal
import threading

import pytest

from tfner.training.signals import SIGNALS, StopSignals


def send(number):
    os.kill(os.getpid(), number)


def test_one_signal_is_noted_and_the_step_goes_on():
    with StopSignals() as signals:
        assert signals.received is None
        send(signal.SIGINT)
        assert signals.received == signal.SIGINT


def test_ctrl_c_ends_with_a_keyboard_interrupt_and_sigterm_with_status_143():
    with StopSignals() as signals:
        send(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signals.stop()
    with StopSignals() as signals:
        send(signal.SIGTERM)
        with pytest.raises(SystemExit) as caught:
            signals.stop()
    assert caught.value.code == 143


@pytest.mark.parametrize("first", SIGNALS)
def test_ctrl_c_after_another_signal_leaves_at_once(first):
    with pytest.raises(KeyboardInterrupt), StopSignals():
        send(first)
        send(signal.SIGINT)
        pytest.fail("the second signal was only noted")


def test_sigterm_after_ctrl_c_decides_the_exit_status():
    with StopSignals() as signals:
        send(signal.SIGINT)
        send(signal.SIGTERM)
        with pytest.raises(SystemExit):
            signals.stop()


def test_the_handlers_before_are_restored_also_after_an_error():
    before = [signal.getsignal(number) for number in SIGNALS]
    with pytest.raises(ZeroDivisionError), StopSignals():
        assert [signal.getsignal(number) for number in SIGNALS] != before
        raise ZeroDivisionError
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_outside_the_main_thread_nothing_is_changed():
    found = []

    def work():
        with StopSignals() as signals:
            found.append((signals.received, [signal.getsignal(number) for number in SIGNALS]))

    before = [signal.getsignal(number) for number in SIGNALS]
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [(None, before)]
