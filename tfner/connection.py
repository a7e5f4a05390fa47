"""Whether the Hugging Face hub can be reached, asked once, and what to say where it cannot."""

from __future__ import annotations

import functools

from tfner.errors import UserError, one_line

TIMEOUT = 10
"""Seconds to wait for the hub before it is considered unreachable."""


@functools.cache
def hub_answers() -> bool:
    """Whether the hub can be reached. transformers and datasets would each try for 23 s, file by file."""
    import requests
    from huggingface_hub import constants

    try:
        requests.head(constants.ENDPOINT, timeout=TIMEOUT)
    except OSError:
        return False
    return True


def unreachable(name: str, what: str, remedy: str, reason: object = None) -> UserError:
    """The error for `what` (such as "tokenizer") of `name` that is neither in the cache nor, without the hub, to be had."""
    detail = f" ({one_line(reason)})" if reason else ""
    return UserError(
        f"{name}: no such file or folder, and its {what} cannot be loaded from the Hugging Face hub, which is out of reach "
        f"or has no such name{detail}: check the name and the connection, or {remedy}"
    )
