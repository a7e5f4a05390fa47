import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from support import tiny, trainings

# as tfner's commands do; without it, a process that a test starts may compute in another order than the test itself
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
if os.environ.get("PYTEST_XDIST_WORKER"):
    # each process has its own threads: as many as cores in every one would wait for each other
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")


LONGEST_FIRST = ("test_real_data.py", "test_notebooks.py", "test_blocks.py")
"""Files that take minutes. Started last, they would leave one process idle."""


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.path.name not in LONGEST_FIRST)


@pytest.fixture(scope="session")
def assets() -> Path:
    """The folder of real corpora and encoders; tests that need it are skipped if it is not given."""
    folder = os.environ.get("TFNER_TEST_ASSETS")
    if not folder:
        pytest.skip("TFNER_TEST_ASSETS is not set: it names the folder with the real corpora and encoders")
    return Path(folder)


@pytest.fixture(scope="session")
def built_once(tmp_path_factory) -> Callable[[str, Callable[[Path], object]], Path]:
    """A function that lets `build` fill a folder, once for all processes of pytest-xdist, and returns the folder."""
    base = tmp_path_factory.getbasetemp()
    root = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base

    def make(name: str, build: Callable[[Path], object]) -> Path:
        folder, done = root / name, root / f"{name}.done"
        with (root / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                folder.mkdir(exist_ok=True)
                build(folder)
                done.touch()
        return folder

    return make


@pytest.fixture(scope="session")
def exported(built_once) -> Path:
    """The folder of a version exported from a tiny random model that finds entities of all types."""
    from tfner.folder import resolve

    return resolve(built_once("exported", tiny.exported_model) / "finetune")


@pytest.fixture(scope="session")
def corpus(built_once) -> Path:
    """The folder of a small corpus of columns, the beginning of the embedded one."""
    return built_once("corpus", trainings.write_corpus)


@pytest.fixture(scope="session")
def columns(built_once) -> Path:
    """The folder of the same corpus with the columns of three tasks."""
    return built_once("columns of three tasks", trainings.write_tasks)


@pytest.fixture(scope="session")
def together(built_once, columns) -> Path:
    """The folder of a model for three tasks, with calibrations of their own. Do not write to it."""
    return built_once("model of three tasks", lambda folder: trainings.train_together(folder, columns)) / "model"


@pytest.fixture(scope="session")
def small_encoder(built_once) -> Path:
    """The folder of a tiny random BERT with two layers."""
    return built_once("small-encoder", lambda folder: tiny.model_folder(folder, "bert", num_hidden_layers=2))


@pytest.fixture(scope="session")
def model(built_once, corpus) -> Path:
    """The folder of a finetune model, trained on `corpus` until it finds some entities. Do not write to it."""
    folder = built_once("finetune-training", lambda folder: trainings.train_model(folder, "finetune", corpus))
    return folder / "finetune"


@pytest.fixture(scope="session")
def models(built_once, corpus, small_encoder, model) -> dict[str, Path]:
    """For each variant the folder of a trained model; the other two have the small encoder. Do not write to them."""

    def briefly(variant: str) -> Path:
        def build(folder: Path) -> None:
            trainings.train_model(folder, variant, corpus, **trainings.brief(small_encoder))

        return built_once(f"{variant} training", build) / variant

    return {"finetune": model, "head": briefly("head"), "replace": briefly("replace")}


@pytest.fixture(scope="session")
def runtimes(built_once, model) -> Path:
    """`model`, exported with decoding, temperature and thresholds of its own. Do not write to it.

    The exports are `1`, `openvino/1` and `onnx/1` in float32, and `/2` of both in int8.
    """

    def build(folder: Path) -> None:
        from tfner.export import export
        from tfner.folder import TRAINING

        copy = shutil.copytree(model, folder / "model", ignore=shutil.ignore_patterns("1"))
        shutil.copytree(model / TRAINING, copy / TRAINING, dirs_exist_ok=True)
        own = {"decode": "viterbi", "temperature": "auto", "min_precision": 0.1, "say": lambda line: None}
        export(copy, output=copy / "1", **own)
        for runtime in ("openvino", "onnx"):
            for precision in ("float32", "int8"):
                export(copy, format=runtime, precision=precision, **own)

    return built_once("runtimes", build) / "model"
