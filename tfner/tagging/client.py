"""Sends requests to a served model until they are answered, and explains the refusals that remain.

Takes a signature and the rows of one request and returns the server's outputs. `transport` sends a request once; `served`
decides what a request holds.
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from typing import Any

from tfner.contract import SIGNATURES, Signature
from tfner.errors import UserError
from tfner.tagging.address import Address
from tfner.tagging.transport import FAILED, INVALID, NOT_FOUND, TOO_LARGE, TOO_LATE, UNAVAILABLE, Refusal, connect

TRIES = 6
"""How often a request is sent to a server that does not answer, or that is busy, before the client gives up."""
NOT_TFNER = "expected a model that python -m tfner.export wrote, with an encoder that has a WordPiece tokenizer"
"""What to do about a model without the signatures or outputs that the client needs."""

_FIRST_WAIT, _LONGEST_WAIT = 0.1, 2.0  # seconds between tries: doubled every time


class MissingSignature(UserError):
    """A served model has no signature for the task that was asked for."""


class Client:
    """Sends requests to one served model; threads may share it.

    Args:
        address: where the model is served.
        deadline: the seconds that a request may take, with all its tries.

    Raises:
        UserError: where the address asks for gRPC, which is not installed.
    """

    def __init__(self, address: Address, deadline: float):
        self.address, self.deadline = address, deadline
        self._transport = connect(address)

    def close(self) -> None:
        """Closes the connections."""
        self._transport.close()

    def ask(self, signature: Signature, rows: list[Any]) -> Mapping[str, list[Any]]:
        """The outputs of a signature for rows of its input.

        Raises Refusal where the request is too large for the server, and UserError where it cannot be answered for another
        reason.
        """
        end = time.monotonic() + self.deadline
        tries, wait = 1, _FIRST_WAIT
        (name,) = signature.inputs
        while True:
            try:
                return self._transport.predict(signature.name, name, rows, _left(end))
            except Refusal as error:
                refusal = error
            if refusal.kind == TOO_LARGE:
                raise refusal
            loading = refusal.kind == NOT_FOUND and self._is_loading(refusal, _left(end))
            if not loading and (refusal.kind != UNAVAILABLE or tries == TRIES):
                raise self._explained(signature, refusal) from refusal
            pause = wait * random.uniform(0.5, 1)  # so that clients that were refused together do not return together
            if time.monotonic() + pause > end:
                if loading:
                    raise self.error(f"the model is still loading after {self.deadline:g} seconds", "try again later")
                raise self._explained(signature, refusal) from refusal
            time.sleep(pause)
            tries, wait = tries + 1, min(2 * wait, _LONGEST_WAIT)

    def error(self, problem: str, remedy: str) -> UserError:
        """The error for a problem with the served model."""
        return UserError(f"{problem}: {remedy}", str(self.address))

    def _is_loading(self, refusal: Refusal, seconds: float) -> bool:
        """Whether a model that the server did not find is about to be served. Raises UserError where it is not."""
        address = self.address
        if address.label and "label" in str(refusal):
            return False
        try:
            states = self._transport.states(seconds)
        except Refusal as error:
            if error.kind == UNAVAILABLE:
                return True
            raise self.error(
                f"the server has no model {address.model!r} ({error})", "use a name from the server's configuration"
            ) from error
        wanted = states if address.version is None else {address.version: states.get(address.version)}
        # AVAILABLE: the version became available just now. The client does not know which version a label names, so with a
        # label, an available version says nothing.
        coming = {"START", "LOADING"} if address.label else {"START", "LOADING", "AVAILABLE"}
        if coming.intersection(filter(None, wanted.values())):
            return True
        which = f"version {address.version}" if address.version is not None else "any version"
        which = f"a version with the label {address.label!r}" if address.label else which
        served = ", ".join(str(v) for v, state in sorted(states.items()) if state == "AVAILABLE") or "none"
        raise self.error(f"the server does not serve {which} of {address.model!r}", f"use one of the versions served: {served}")

    def _explained(self, signature: Signature, refusal: Refusal) -> UserError:
        """The error for a refusal: what it means, and what to do about it."""
        reason = str(refusal)
        if refusal.kind == UNAVAILABLE:
            return self.error(f"no answer ({reason})", "check host and port, and whether the server runs or is overloaded")
        if refusal.kind == TOO_LATE:
            return self.error(
                f"no answer in time ({reason}; the deadline is {self.deadline:g} seconds)",
                "in Python, send smaller requests or wait longer with load_tagger(address, deadline=..., texts=...)",
            )
        if self.address.label and "label" in reason:
            return self.error(f"no version has the label {self.address.label!r} ({reason})", "set it in models.config")
        if refusal.kind == INVALID and "ignature" in reason:
            if signature in SIGNATURES:
                return self.error(f"the model has no signature {signature.name} ({reason})", NOT_TFNER)
            remedy = "name a task that it was trained for; leave the task out if it has only one"
            return MissingSignature(f"the model has no signature {signature.name} ({reason}): {remedy}", str(self.address))
        if refusal.kind == INVALID and "padding is turned off" in reason:
            return self.error(
                "the server put requests of different lengths into one batch without padding them",
                "set pad_variable_length_inputs: true in batching.config",
            )
        if refusal.kind == INVALID:
            return self.error(f"the server refuses the request ({reason})", "change the text, or the server's settings")
        if refusal.kind == FAILED:
            return self.error(f"the server failed ({reason})", "look for the cause in its log")
        return self.error(f"the answer is not from TF Serving ({reason})", "check the address and which program listens there")


def _left(end: float) -> float:
    """The seconds until `end`, at least a millisecond."""
    return max(end - time.monotonic(), 0.001)
