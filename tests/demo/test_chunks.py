from tfner.demo.chunks import chunk_tags
from tfner.demo.names import Token
from tfner.labels import spans


def tagged(text):
    """The chunk tags of words written as `word/POS`; `~` before a word sets it apart."""
    tokens = [Token(*word.removeprefix("~").rsplit("/", 1), apart=word.startswith("~")) for word in text.split()]
    return " ".join(chunk_tags(tokens))


def test_parts_of_speech_decide_the_chunks():
    assert tagged("The/DT cup/NN has/VBZ never/RB been/VBN in/IN Rome/NNP") == "B-NP I-NP B-VP I-VP I-VP B-PP B-NP"
    assert tagged("He/PRP wants/VBZ to/TO play/VB if/IN it/PRP rains/VBZ") == "B-NP B-VP I-VP I-VP B-SBAR B-NP B-VP"


def test_a_noun_chunk_of_adjectives_is_an_adjective_chunk():
    assert tagged("It/PRP was/VBD warm/JJ and/CC dry/JJ") == "B-NP B-VP B-ADJP O B-ADJP"


def test_a_token_set_apart_starts_a_chunk():
    assert tagged("beat/VBD Rome/NNP 2-1/CD") == "B-VP B-NP I-NP"
    assert tagged("beat/VBD Rome/NNP ~2-1/CD") == "B-VP B-NP B-NP"


def test_a_name_is_within_one_chunk_and_numbers_are_cardinal(corpora):
    for ner, chunk, pos in zip(*(corpora[task].splits["train"] for task in ("ner", "chunk", "pos")), strict=True):
        for _, start, end in spans(ner.tags):
            assert all(tag == "I-NP" for tag in chunk.tags[start + 1 : end]), ner.words
        for word, tag in zip(pos.words, pos.tags, strict=True):
            assert not word.isdigit() or tag == "CD", pos.words
