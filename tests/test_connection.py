import pytest
import requests
from huggingface_hub import constants
from support.errors import check_error

from tfner.connection import TIMEOUT, hub_answers, unreachable


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """Every test asks anew, and leaves no answer behind."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    hub_answers.cache_clear()
    yield
    hub_answers.cache_clear()


def answering(monkeypatch, status=None):
    """Makes the hub answer with a status, or not at all; returns the list of requests."""
    asked = []

    def head(address, timeout):
        asked.append((address, timeout))
        if status is None:
            raise requests.ConnectionError("no route")
        response = requests.Response()
        response.status_code = status
        return response

    monkeypatch.setattr(requests, "head", head)
    return asked


@pytest.mark.parametrize(("status", "answers"), [(200, True), (307, True), (404, True), (503, False), (None, False)])
def test_the_hub_answers_unless_the_connection_or_the_server_fails(monkeypatch, status, answers):
    answering(monkeypatch, status)
    assert hub_answers() is answers


def test_the_hub_is_asked_once_with_a_time_limit(monkeypatch):
    asked = answering(monkeypatch)
    assert not hub_answers()
    assert not hub_answers()
    assert asked == [(constants.ENDPOINT, TIMEOUT)]


def test_in_offline_mode_the_hub_is_not_asked(monkeypatch):
    asked = answering(monkeypatch, 200)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert not hub_answers()
    assert asked == []


def test_the_error_names_what_is_missing_and_the_remedy():
    error = unreachable("bert-base-cased", "tokenizer", "give a folder", "404 for\nvocab.txt")
    check_error("hub_unreachable", error, path="bert-base-cased")
