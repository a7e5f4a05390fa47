from itertools import islice

from tfner.demo import documents as module
from tfner.demo import grammar
from tfner.demo.documents import documents, tag_of


def test_every_template_word_is_in_the_lexicon():
    rules = [template for rule in grammar.RULES.values() for template in rule]
    for template in rules + [t for parts in grammar.DOCUMENTS.values() for part in parts for t in part]:
        assert template.count("(") == template.count(")")
        for token in module._TEMPLATE_PART.findall(template):
            if token[0] not in "()|~<{" and "/" not in token:
                tag_of(token, [])


def test_documents_start_with_a_headline_in_capitals():
    for headline, *others in islice(documents("train", 0, set()), 50):
        text = "".join(token.word for token in headline)
        assert text == text.upper()
        assert 4 <= len(others) <= 11
