"""Addresses of served models: which are accepted, and how they are written again."""

import pytest
from support.errors import check_error

from tfner.errors import UserError
from tfner.tagging.address import Address


@pytest.mark.parametrize(
    "address",
    """http://host:8501 http://host:8501/v1/models/ http:///v1/models/head http://host:port/v1/models/head grpc://host/head
    grpc://host:8500 grpc://host:8500/v1/models/head ftp://host/head http://host/v1/models/head:predict
    http://host/v1/models/head/versions/one http://host/v1/models/head?x=1 http://me:secret@host/v1/models/head
    http://[::1/v1/models/head https://host/models/head""".split(),
)
def test_something_else_is_refused_with_an_example(address):
    with pytest.raises(UserError) as caught:
        Address.parse(address)
    assert caught.value.path == address
    check_error("address_invalid", UserError(caught.value.message, "ADDRESS"), path="ADDRESS")  # one text for all of them


@pytest.mark.parametrize(
    "address",
    """http://host:8501/v1/models/head https://host/ner/v1/models/head/versions/3 grpc://[::1]:8500/head/labels/stable""".split(),
)
def test_an_address_is_written_as_it_was_read(address):
    assert str(Address.parse(address)) == address


def test_the_parts_of_an_address():
    address = Address.parse("https://proxy:443/ner/v1/models/my%20head/labels/new%20one")
    assert address == Address("https", "proxy:443", "/ner", "my head", None, "new one")
    assert address.path == "/ner/v1/models/my%20head"
    assert address.selection == "/labels/new one"
    assert Address.parse("grpc://host:8500/head/versions/3") == Address("grpc", "host:8500", "", "head", 3)
