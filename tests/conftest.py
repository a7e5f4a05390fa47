import os
from pathlib import Path

import pytest
from support import tiny


@pytest.fixture(scope="session")
def assets() -> Path:
    """The folder of real corpora and encoders; tests that need it are skipped where there is none."""
    folder = os.environ.get("TFNER_TEST_ASSETS")
    if not folder:
        pytest.skip("TFNER_TEST_ASSETS is not set: it names the folder with the real corpora and encoders")
    return Path(folder)


@pytest.fixture(scope="session")
def exported(tmp_path_factory) -> Path:
    """The folder of a version exported from a tiny random model that finds entities of all types."""
    return tiny.exported_model(tmp_path_factory.mktemp("exported"))
