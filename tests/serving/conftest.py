import shutil

import pytest
from support.local_server import ThreadServer, exported

from tfner.serving.servable import load_servable

MODELS = ("one", "<b>zwei drei<", "bpe")
"""Names of the models: one that an address has to quote and that is not markup, and one that takes only word pieces."""


@pytest.fixture(scope="session")
def folders(request, tmp_path_factory):
    """The folders of three models with different weights, by the names in `MODELS`."""
    base = tmp_path_factory.mktemp("models")
    shutil.copytree(request.getfixturevalue("exported"), base / MODELS[0] / "1")
    second = exported(base / "second", seed=8)
    return [base / MODELS[0], second.rename(base / MODELS[1]), exported(base / MODELS[2], "roberta")]


@pytest.fixture(scope="session")
def servables(folders):
    return [load_servable(folder) for folder in folders]


@pytest.fixture(scope="session")
def server(servables):
    """A server for all three models."""
    with ThreadServer(servables) as running:
        yield running
