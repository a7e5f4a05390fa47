import pytest
from support.servers import Backend, GrpcServer, RestServer

from tfner.tagging import client
from tfner.tagging.load import load_tagger


@pytest.fixture(scope="session")
def local(exported):
    """The tagger of an exported model."""
    return load_tagger(exported)


@pytest.fixture(scope="session")
def shared_backend(exported):
    return Backend(exported)


@pytest.fixture(scope="session")
def servers(shared_backend):
    return {"rest": RestServer(shared_backend), "grpc": GrpcServer(shared_backend)}


@pytest.fixture
def backend(shared_backend, monkeypatch):
    """The model that both servers serve, without anything left from the test before; waits between tries are short."""
    monkeypatch.setattr(client, "_FIRST_WAIT", 0.01)
    shared_backend.reset()
    return shared_backend


@pytest.fixture(params=["rest", "grpc"])
def address(request, servers, backend):
    """The address of the served model in each of the two APIs."""
    return servers[request.param].address


@pytest.fixture
def rest(servers, backend):
    """The address of the served model in the REST API."""
    return servers["rest"].address
