"""A connection to the server of an HTTP resource. The credential is never sent in clear over a network.

There is no falling back to plaintext, and no proxy is asked. Source: RFC 9110 section 4.3.4.
"""

from __future__ import annotations

import ssl

from tidegate.enforcement.stream import Stream
from tidegate.errors import ConfigError, ResourceError
from tidegate.model.resource import Resource
from tidegate.model.secret import Credential

from .http_opening import ALPN
from .postgres_startup import loopback

OPERATOR = "Ask an operator to check the resource's configuration; nothing was executed."


async def reach(resource: Resource, credential: Credential, patience: float, *, clear: bool) -> Stream:
    """A connection, with TLS if its configuration says so. Raises ResourceError, ConfigError.

    ``patience`` in seconds; ``clear``: the network in between is trusted with the credential.
    """
    secret = credential.password
    if not (secret.isascii() and secret.isprintable()) or not (credential.user.isprintable()):
        raise ConfigError("the resource's credential has characters that no field can have", code="config.secret")
    stream = await Stream.connect(resource.address, timeout=patience)
    try:
        if resource.tls != "disable":
            await stream.start_tls(_context(resource), server_side=False, hostname=resource.address.host)
            if stream.alpn() not in ("", ALPN):
                raise ResourceError("The resource's server speaks another protocol.", code="resource.tls")
        elif secret and not clear and not loopback(stream, "peername"):
            raise ConfigError(
                f"resource {resource.name}: its credential would be sent in clear over a network",
                hint="Set `tls: verify-full`, or `cleartext: true` in its options where the network is trusted.",
                code="config.cleartext",
            )
    except BaseException:
        await stream.close()
        raise
    return stream


def _context(resource: Resource) -> ssl.SSLContext:
    """``require`` encrypts (and checks the chain when a ca is named); ``verify-full`` checks chain and name."""
    try:
        context = ssl.create_default_context(cafile=resource.ca or None)
    except (OSError, ssl.SSLError):
        raise ConfigError("The resource's ca cannot be read.", hint="It must be a PEM file.") from None
    if resource.tls != "verify-full":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_REQUIRED if resource.ca else ssl.CERT_NONE
    context.set_alpn_protocols([ALPN])
    return context
