"""Proofs in requests: a body's member ``proof``, and what becomes of it.

A request that needs one and has none is answered 401 ``stepup.required``. The problem names the methods that this
person has, a challenge, the action in words, what an ssh key would sign, and the page where a browser can do it; the
same request is then sent again with its proof, an object of text: ``method`` and what belongs to it.

- ``password``: ``password``, and ``otp`` if the problem says so
- ``ssh``: ``challenge``, and ``signature``: what ``ssh-keygen -Y sign -n tidegate`` makes of the problem's ``sign``
- ``passkey``: ``challenge``, and ``credential``: the JSON of what ``navigator.credentials.get`` answers
- ``login``: the ``ticket`` for a fresh login at the provider
- ``browser``: the ``challenge`` whose page the person has been through; ``stepup.waiting`` until then
"""

from __future__ import annotations

from collections.abc import Mapping

from tidegate.enforcement.access import Caller
from tidegate.model.proof import Proof

from .services import ApiServices


async def proven(at: ApiServices, by: Caller, action: bytes, offered: Mapping[str, str], words: str = "") -> Proof:
    """The caller's proof of exactly ``action`` (``model.proof.action``), which ``words`` say to people.

    Raises AgentError ``stepup.required``, ``stepup.wrong``, ``stepup.waiting``, ``auth.slowed``.
    """
    return await at.credentials.prove(by.identity, action, offered, words=words, peer=by.peer)
