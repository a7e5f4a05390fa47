"""SIGINT and SIGTERM in a training: the current step or scoring ends first, so that the training can be resumed.

Takes nothing; says when to stop. What is to be done before is left to `run`.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopSignals:
    """Notes SIGINT (Ctrl-C) and SIGTERM while it is entered. A second Ctrl-C raises KeyboardInterrupt immediately.

    Only the main thread receives signals; elsewhere, entering it has no effect.

    Attributes:
        received: the signal that asked to stop, or None.
    """

    received: signal.Signals | None = None

    def __enter__(self) -> StopSignals:
        self._before: dict[signal.Signals, Any] = {}
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.received = signal.Signals(number)

    def stop(self) -> None:
        """Ends the program as the signal asks: KeyboardInterrupt for SIGINT, SystemExit with 128 + 15 for SIGTERM."""
        if self.received == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + signal.SIGTERM)
