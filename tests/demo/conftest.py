import pytest

from tfner.config import TASKS
from tfner.demo.corpus import demo_corpus


@pytest.fixture(scope="session")
def corpora():
    """The embedded corpus by task."""
    return {task: demo_corpus(task) for task in TASKS}


@pytest.fixture(scope="session")
def ner(corpora):
    return corpora["ner"]
