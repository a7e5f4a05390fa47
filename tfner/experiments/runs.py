"""Trains the runs of a plan, one or several at a time, each as `python -m tfner.train` in a process of its own.

Takes a `Plan` and writes `runs/NAME/` for each run: the model, `log.txt`, `predictions.json` and `run.json`, which says that it
is finished. What is finished is not trained again, and what was interrupted is resumed.
"""

from __future__ import annotations

import fcntl
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from tqdm import tqdm

from tfner.config import Config, as_flags
from tfner.errors import UserError, setting
from tfner.evaluation.scores import Scores, read_scores
from tfner.experiments.plan import RUNS, Plan, Run, differences
from tfner.folder import (
    EXTRA,
    HISTORY,
    MEASURES,
    PREDICTIONS,
    SCORES,
    TRAINING,
    is_locked,
    lock_state,
    read_history,
    versions,
    write_json,
    write_whole,
)
from tfner.machine import pin, usable_cores
from tfner.training.request import find_finished

RECORD, LOG, MODEL = "run.json", "log.txt", "model"
"""Files and the model's folder in the folder of a run."""


@dataclass(frozen=True)
class Finished:
    """The results of a run.

    Attributes:
        run: the run.
        scores: by split.
        predictions: by split, the predicted tags of each sentence.
        history: a row for each epoch.
        parameters: the numbers of parameters of `encoder` and `new` layers.
        export_bytes: the size of the exported graph and its weights.
        training_seconds: the time of the training steps of all epochs.
        tagged_words_per_second: the speed of the trained model in memory.
        wall_seconds: the time of the whole command, in all its parts where it was resumed; at least that of its epochs, as what
            followed the end of a killed comparison is not known.
        devices: what it was trained on.
    """

    run: Run
    scores: Mapping[str, Scores]
    predictions: Mapping[str, Sequence[Sequence[str]]]
    history: Sequence[Mapping[str, float]]
    parameters: Mapping[str, int]
    export_bytes: int
    training_seconds: float
    tagged_words_per_second: float
    wall_seconds: float
    devices: str


@dataclass(frozen=True)
class Failed:
    """A run that ended with an error, and what its log says about it."""

    run: Run
    error: str


def check_folder(plan: Plan) -> None:
    """Raises UserError if the folder of a plan holds other runs, or runs with other settings, sentences or encoder."""
    planned = {run.folder.name: run for run in plan.runs}
    for record in sorted((plan.folder / RUNS).glob(f"*/{RECORD}")):
        run = planned.get(record.parent.name)
        other = f"choose another {setting('output')}, or delete {record.parent}"
        if run is None:
            raise UserError(
                f"holds runs of another plan, such as {record.parent.name}: add them to this one, {other}", plan.folder
            )
        before = json.loads(record.read_text("utf-8"))["fingerprint"]
        settings = json.loads(Config.from_values(before["settings"]).to_json())  # with those that were added since
        if differs := differences({**before, "settings": settings}, run.fingerprint):
            raise UserError(f"{record.parent.name} was planned differently ({'; '.join(differs)}): {other}", plan.folder)


def finished(run: Run) -> Finished | None:
    """The results of a run, or None if it is not finished."""
    record = _read_record(run)
    if not record.get("result"):
        return None
    predictions = json.loads((run.folder / PREDICTIONS).read_text("utf-8"))
    result = record["result"]
    scores = {split: Scores.from_json(value) for split, value in result.pop("scores").items()}
    return Finished(run, scores, predictions, **result)


def is_begun(run: Run) -> bool:
    """Whether a training of this run was interrupted, or ended with an error."""
    return bool(versions(run.folder / MODEL / TRAINING)) and not _read_record(run).get("result")


def carry_out(
    plan: Plan, say: Callable[[str], None] = print, discard_models: bool = False, jobs: int = 1
) -> tuple[list[Finished], list[Failed]]:
    """Trains every run that is not finished; returns the results of all, and the runs that failed, in the order of the plan.

    Ctrl-C and SIGTERM stop the trainings that run now with a checkpoint, and raise KeyboardInterrupt or SystemExit.

    Args:
        plan: the runs.
        say: called with each line for the terminal.
        discard_models: whether to delete a run's model once its results are saved.
        jobs: how many trainings run at a time, each on its share of the cores.

    Raises:
        UserError: if another process trains runs in the folder, and for more jobs than cores.
    """
    shares = share_cores(jobs)
    total = len(plan.runs)
    ended: dict[int, Finished | Failed] = {}

    def left() -> str:
        return _time_left(plan.runs, list(ended.values()), jobs)

    running: dict[int, _Training] = {}  # by the number of the run
    with (
        alone(plan.folder),
        _stops_on_sigterm(),
        tqdm(total=0, bar_format="{desc}", leave=False, file=sys.stderr, disable=None, dynamic_ncols=True) as bar,
        _ended_together(running),
    ):
        for number, run in enumerate(plan.runs):
            if known := finished(run):
                ended[number] = known
                if discard_models:
                    shutil.rmtree(run.folder / MODEL, ignore_errors=True)
        waiting = [number for number in range(total) if number not in ended]
        while waiting or running:
            idle = [share for share in shares if share not in [training.cores for training in running.values()]]
            for cores in idle[: len(waiting)]:
                number = waiting.pop(0)
                running[number] = _Training(plan.runs[number], cores)
            for number, training in list(running.items()):
                if (result := training.result()) is None:
                    continue
                ended[number] = result
                del running[number]
                bar.clear()
                run, place = result.run, f"{number + 1:>3} of {total}  {result.run.name}"
                if isinstance(result, Failed):
                    say(f"{place}: FAILED, {result.error} (see {run.folder / LOG})")
                    continue
                if discard_models:
                    shutil.rmtree(run.folder / MODEL)
                f1 = result.scores["validation"].overall.f1
                say(f"{place}: validation F1 {f1:.4f}, {result.wall_seconds:.0f} s{left()}")
            shown = (f"run {n + 1} of {total}: {t.run.name}, {_stage(t.run)}" for n, t in running.items())
            bar.set_description_str("; ".join(shown) + left())
            time.sleep(0.2)
    results = [ended[number] for number in range(total)]
    return [r for r in results if isinstance(r, Finished)], [r for r in results if isinstance(r, Failed)]


def share_cores(jobs: int) -> list[frozenset[int]]:
    """The cores of this process in equal parts, one for each job.

    A training does not use all cores fully: with one of two cores, an epoch takes 13.6 s, with both 10.5 s (a 6-layer encoder,
    batches of 16). Raises UserError for more jobs than cores.
    """
    cores = usable_cores()
    if not 1 <= jobs <= len(cores):
        raise UserError(f"{setting('jobs', jobs)}: expected 1 to {len(cores)}, the cores that this process may use")
    return [frozenset(cores[i::jobs]) for i in range(jobs)]


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Makes sure that no other process trains the runs in a folder. Raises UserError where one does."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = lock_state(folder, "comparison")
    try:
        yield
    finally:
        lock.release()


class _Training:
    """A run that is trained on some cores in a process of its own, which starts at the first call of `result`."""

    def __init__(self, run: Run, cores: frozenset[int]):
        self.run, self.cores = run, cores
        self.process: subprocess.Popen[bytes] | None = None
        run.folder.mkdir(parents=True, exist_ok=True)

    def result(self) -> Finished | Failed | None:
        """The result, or None while the training runs."""
        if self.process is None:
            folders = self.run.folder, *_states(self.run)
            if not any(map(is_locked, folders)):  # else the training of a killed comparison goes on
                self._start()
            return None
        status = self.process.poll()
        if status is None:
            return None
        return Failed(self.run, _reason(status, self.run.folder / LOG, self._begin)) if status else self._read()

    def _start(self) -> None:
        self._before, self._since = _read_record(self.run).get("wall_seconds", 0.0), time.monotonic()
        self.record(None)
        with (self.run.folder / LOG).open("ab") as log, _lock_to_inherit(self.run.folder) as lock:
            self._begin = log.tell()
            command = [sys.executable, "-m", "tfner.train", "--resume", *as_flags(self.run.config)]
            self.process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True, pass_fds=lock)
        pin(self.cores, self.process.pid)

    def record(self, result: Mapping[str, Any] | None) -> None:
        """Writes what identifies the run, its time so far, and its result once it has one."""
        value = {
            "command": ["python", "-m", "tfner.train", *as_flags(self.run.config)],
            "fingerprint": self.run.fingerprint,
            "wall_seconds": self._seconds(),
            "result": result,
        }
        write_whole(self.run.folder / RECORD, lambda draft: write_json(draft, value))

    def _seconds(self) -> float:
        return float(self._before + time.monotonic() - self._since)

    def _read(self) -> Finished:
        run = self.run
        number = find_finished(run.config)
        assert number, "the training is finished"
        state, export = run.config.folder / TRAINING / str(number), run.config.folder / str(number)
        shutil.copy2(state / PREDICTIONS, run.folder / PREDICTIONS)
        history = [{name: float(value) for name, value in row.items()} for row in read_history(state / HISTORY)]
        training_seconds = sum(row["seconds"] for row in history)
        measures = json.loads((state / MEASURES).read_text("utf-8"))
        result = {
            "scores": {split: scores.to_json() for split, scores in read_scores(state / SCORES).items()},
            "history": history,
            "parameters": measures["parameters"],
            "export_bytes": sum(p.stat().st_size for p in export.rglob("*") if p.is_file() and EXTRA not in p.parts),
            "training_seconds": training_seconds,
            "tagged_words_per_second": measures["tagged_words_per_second"],
            "wall_seconds": max(self._seconds(), training_seconds),
            "devices": f"{measures['devices']}; {measures['precision']}",
        }
        self.record(result)
        read = finished(run)
        assert read
        return read


@contextmanager
def _lock_to_inherit(folder: Path) -> Iterator[tuple[int]]:
    """A lock on a folder, as an open file: a process that inherits it holds it to its end, even if this one is killed."""
    with (folder / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield (file.fileno(),)


@contextmanager
def _ended_together(running: Mapping[int, _Training]) -> Iterator[None]:
    """Interrupts the trainings that run when an exception, such as Ctrl-C, ends what is inside, and waits for them."""
    try:
        yield
    except BaseException:
        begun = [(training, training.process) for training in running.values() if training.process]
        for _, process in begun:
            process.send_signal(signal.SIGINT)  # Ctrl-C in the terminal does not reach their sessions
        try:
            for training, process in begun:
                process.wait()
                training.record(None)
        except KeyboardInterrupt:  # a second Ctrl-C
            for _, process in begun:
                process.kill()
        raise


@contextmanager
def _stops_on_sigterm() -> Iterator[None]:
    def stop(number: int, frame: Any) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _read_record(run: Run) -> dict[str, Any]:
    path = run.folder / RECORD
    if not path.is_file():
        return {}
    value: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return value


def _states(run: Run) -> list[Path]:
    folder = run.folder / MODEL / TRAINING
    return [folder / str(number) for number in versions(folder)]


def _epochs(run: Run) -> list[dict[str, str]]:
    """The rows of the epochs of the newest training of a run."""
    states = _states(run)
    return read_history(states[-1] / HISTORY) if states and (states[-1] / HISTORY).is_file() else []


def _stage(run: Run) -> str:
    """What the training of a run does now."""
    epoch = len(_epochs(run)) + 1
    return "scoring" if isinstance(run.config.epochs, int) and epoch > run.config.epochs else f"epoch {epoch}"


def _time_left(runs: Sequence[Run], ended: Sequence[Finished | Failed], jobs: int) -> str:
    """How long the runs that have not ended take, from the time of those that have, as text; empty if none is finished."""
    left = [run for run in runs if not any(result.run is run for result in ended)]
    done = [result for result in ended if isinstance(result, Finished)]
    if not left or not done:
        return ""
    everything = mean(result.wall_seconds for result in done)
    own = {run.condition.name: [r.wall_seconds for r in done if r.run.condition is run.condition] for run in left}
    seconds = sum(mean(own[run.condition.name] or [everything]) for run in left) / min(jobs, len(left))
    return f"; about {duration(seconds)} left"


def duration(seconds: float) -> str:
    """Seconds as text, such as `40 s`, `12 min` or `3 h 5 min`."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def _reason(status: int, log: Path, begin: int) -> str:
    """Why a training ended: its error line, or its last line, in the log from a byte on."""
    text = log.read_bytes()[begin:].decode("utf-8", errors="replace")
    lines = [line for line in text.splitlines() if line.strip()]
    if status < 0:
        return f"it was killed by signal {-status}" + (", perhaps for its memory" if status == -signal.SIGKILL else "")
    last = next((line for line in reversed(lines) if line.startswith("error: ")), lines[-1] if lines else "it left no message")
    return last.removeprefix("error: ")
