"""The connection to the Hugging Face hub: whether it can be reached, and the error where it cannot.

Takes no data. Loading data sets and encoders is left to `tfner.data.hub` and `tfner.modeling.pretrained`, which share this.
"""

from __future__ import annotations

import functools

from tfner.errors import UserError, one_line

TIMEOUT = 10
"""Seconds to wait for the hub before it is considered unreachable."""


@functools.cache
def hub_answers() -> bool:
    """Whether the hub can be reached. The answer is kept for the life of the process.

    transformers and datasets would each retry for 23 s for every file. False without a request where `HF_HUB_OFFLINE` is set.
    """
    import requests
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return False
    try:
        return requests.head(constants.ENDPOINT, timeout=TIMEOUT).status_code < 500
    except OSError:  # what requests raises for every kind of failed connection
        return False


def unreachable(name: str, what: str, remedy: str, reason: object = None) -> UserError:
    """The error for a name that is neither a local path nor available from the hub.

    Args:
        name: the name that the user gave.
        what: what cannot be loaded, such as "tokenizer".
        remedy: what to do instead, as the end of the sentence "check the name and the connection, or ...".
        reason: the message of the library that tried, if it helps.
    """
    detail = f" ({one_line(reason)})" if reason else ""
    return UserError(
        f"no such file or folder, and its {what} cannot be loaded from the Hugging Face hub, which cannot be reached or has no "
        f"such name{detail}: check the name and the connection, or {remedy}",
        name,
    )
