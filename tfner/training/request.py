"""Checks before a training starts, without TensorFlow: the output folder, the packages, the corpus.

Takes a `Config` and returns its corpus. The encoder is checked when the model is built.
"""

from __future__ import annotations

from importlib.util import find_spec

from tfner.config import Config
from tfner.corpus import Corpus
from tfner.data.load import corpus_of
from tfner.errors import UserError, setting
from tfner.folder import check_output


def check_request(config: Config) -> Corpus:
    """Checks what a training needs and reads its corpus. Nothing is written.

    Raises:
        UserError: if the output folder cannot be used, a package is missing, or the corpus cannot be read or lacks a split.
    """
    check_output(config.folder)
    if config.tensorboard and not find_spec("tensorboard"):
        raise UserError(
            f"{setting('tensorboard', config.tensorboard)}: TensorBoard is not installed: pip install -e '.[tensorboard]'"
        )
    corpus = corpus_of(config)
    for split, names in (("train", "train"), ("validation", "valid or dev")):
        if split not in corpus.splits:
            raise UserError(
                f"{setting('corpus', config.corpus)}: expected a {split} split, found only {', '.join(corpus.splits)}: add a "
                f"file with {names} in its name"
            )
    return corpus
