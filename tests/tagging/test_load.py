"""Which tagger a name leads to."""

import pytest
from support.errors import refused

from tfner.tagging.load import is_address, load_tagger
from tfner.tagging.saved_model import SavedModelTagger
from tfner.tagging.served import ServedTagger
from tfner.tagging.tagger import Tagger


def test_a_folder_is_loaded_and_an_address_is_asked(exported, address):
    for load in (load_tagger, Tagger.load):
        with load(str(exported)) as local, load(address) as served:
            assert type(local) is SavedModelTagger
            assert type(served) is ServedTagger
            assert (local.name, served.name) == (str(exported), address)


def test_options_reach_the_tagger_of_an_address(address):
    with load_tagger(address, deadline=7.5, texts=3, size=100) as tagger:
        assert (tagger._client.deadline, tagger.texts, tagger.size) == (7.5, 3, 100)


@pytest.mark.parametrize("name", ["saved_models/head", "/models/head/1", "C:\\models\\head", "head"])
def test_a_path_is_not_an_address(name):
    assert not is_address(name)


def test_an_address_of_another_kind_is_refused_without_looking_for_a_folder():
    with refused("address_of_another_kind", path="ftp://host/head"):
        load_tagger("ftp://host/head")
