import pytest

from tfner.data.load import load_corpus


@pytest.fixture(scope="session")
def conll2003(assets):
    """The real CoNLL-2003 corpus."""
    return load_corpus(assets / "data/conll2003")
