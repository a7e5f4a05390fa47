"""An export for another runtime leaves nothing behind where it is refused."""

import pytest

from tfner.contract import PIECES
from tfner.errors import UserError
from tfner.exports.gate import Gate, one_way
from tfner.exports.runtime import writer
from tfner.folder import DESCRIPTION, TRAINING, publish
from tfner.modeling.variants import logits_function
from tfner.tagging.exported import read_exported
from tfner.tagging.in_memory import InMemoryTagger
from tfner.training.state import load_state


@pytest.fixture(scope="module")
def trained(model):
    return load_state(model / TRAINING / "1")


@pytest.fixture(scope="module")
def make(trained, corpus):
    """A function from the precisions whose graphs are right to a function that fills a folder in the precision `fast`."""
    from tfner.data.load import load_corpus

    gate = Gate(trained, {"ner": load_corpus(str(corpus)).splits["validation"]}, 0.002, lambda line: None)
    logits = logits_function(trained.model)

    def load(folder):
        sign = 1 if (folder / "graph").read_text() == "right" else -1
        return InMemoryTagger(lambda ids, mask: sign * logits(ids, mask), trained.heads, trained.config)

    def of(right):
        def ways(name):
            text = "right" if name in right else "wrong"
            return lambda: one_way(name, lambda folder: (folder / "graph").write_text(text))

        precisions = {name: ways(name) for name in ("fast", "medium", "slow")}
        return writer(trained, "onnx", PIECES, precisions, load, "fast", gate)

    return of


def test_an_export_that_passes_is_described(make, tmp_path):
    folder = publish(tmp_path / "1", make({"fast"}))
    exported = read_exported(folder)
    assert exported.precision == "fast"
    assert exported.measured["graph"] == "fast"
    assert (folder / "README.md").is_file()


@pytest.mark.parametrize(("right", "advice"), [({"slow"}, "slow"), ({"medium", "slow"}, "medium"), (set(), "in float32 too")])
def test_one_that_does_not_names_the_fastest_precision_that_does(make, tmp_path, right, advice):
    with pytest.raises(UserError, match=advice):
        publish(tmp_path / "1", make(right))
    assert list(tmp_path.iterdir()) == []
    assert not list(tmp_path.rglob(DESCRIPTION))
