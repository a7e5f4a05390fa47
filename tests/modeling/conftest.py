import pytest
from support import tiny

from tfner.config import Config


@pytest.fixture(scope="session")
def cased(assets):
    """The study's tokenizer, bert-base-cased."""
    from transformers import BertTokenizerFast

    return BertTokenizerFast.from_pretrained(assets / "models" / "bert-base-cased-tokenizer")


@pytest.fixture(scope="session")
def wordpiece(tmp_path_factory):
    return tiny.wordpiece_tokenizer(tmp_path_factory.mktemp("wordpiece"))


@pytest.fixture(scope="session")
def byte_level_folder(tmp_path_factory):
    """The folder of a tokenizer like RoBERTa's, without add_prefix_space, and of a config."""
    from transformers import RobertaConfig

    folder = tmp_path_factory.mktemp("bytes")
    tiny.byte_level_tokenizer(folder).save_pretrained(folder)
    RobertaConfig(**tiny.SIZES["roberta"]).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def byte_level(byte_level_folder):
    from tfner.modeling.pretrained import load_tokenizer

    return load_tokenizer(str(byte_level_folder))


@pytest.fixture(scope="session")
def encoder_folder(tmp_path_factory):
    """The folder of a tiny random encoder, by architecture and changes to its config, made once. Tests do not change it."""
    made = {}

    def get(kind, **sizes):
        key = (kind, *sorted(sizes.items()))
        if key not in made:
            made[key] = tiny.model_folder(tmp_path_factory.mktemp(kind), kind, **sizes)
        return made[key]

    return get


@pytest.fixture(scope="session")
def built(encoder_folder):
    """Models by architecture, variant and precision, each built once. Tests do not change their weights.

    The new layers have large random weights, the same in every precision.
    """
    import numpy as np

    from tfner.modeling.variants import build_model, new_variables

    models = {}

    def get(kind, variant, precision="float32"):
        key = kind, variant, precision
        if key not in models:
            settings = Config(variant=variant, seed=5, precision=precision)
            models[key] = build_model(variant, str(encoder_folder(kind)), 9, settings)
            generator = np.random.default_rng(11)
            for variable in new_variables(models[key]):
                variable.assign(generator.normal(0, 0.4, variable.shape))
        return models[key]

    return get
