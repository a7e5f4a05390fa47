"""A contender of `time_to_quality.py`: tfner's own training. Each turn is an epoch.

    python quality_tfner.py ENCODER CORPUS SETTINGS SEED

An epoch's turn returns the seconds of its steps, of scoring and of saving, validation F1, and whether it is the last. The turn
after the last returns F1 on validation and test with the weights of the best epoch, and all settings with their defaults.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from dataclasses import asdict
from importlib.metadata import version

from turns import answer, ready

from tfner.config import make_config
from tfner.training.request import check_request
from tfner.training.run import TrainingRun


class Turns(TrainingRun):
    """A training that waits for its turn before each epoch."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        end_epoch = self._report.end_epoch

        def timed(loss: float, seconds: float):
            start = time.perf_counter()
            logs = end_epoch(loss, seconds)
            self.scoring = time.perf_counter() - start
            return logs

        self._report.end_epoch = timed
        self.result = None

    def _epoch(self, batches) -> None:
        answer(self.result) if self.result else ready()
        start = time.perf_counter()
        super()._epoch(batches)
        row = self.history[-1]
        saving = time.perf_counter() - start - row["seconds"] - self.scoring
        self.result = {"seconds": row["seconds"], "scoring": self.scoring, "saving": saving, "validation": row["f1"]}
        self.result["last"] = not self._goes_on()


def main(encoder: str, corpus: str, settings: str, seed: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        given = {"encoder": encoder, "corpus": corpus, "seed": int(seed), "output": f"{folder}/model", **json.loads(settings)}
        config = make_config(**given)
        run = Turns(config, check_request(config), lambda line: print(line, file=sys.stderr))
        run.fit()
        answer(run.result)
        scores = run.score()
    resolved = {name: value for name, value in asdict(run.config).items() if name not in ("encoder", "corpus", "output")}
    versions = {name: version(name) for name in ("tensorflow", "transformers")}
    found = {split: scores[split].overall.f1 for split in ("validation", "test")}
    answer({**found, "resolved": resolved, "versions": versions})


if __name__ == "__main__":
    main(*sys.argv[1:])
