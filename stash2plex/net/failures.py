"""Why a server could not be asked, in words that say what to change."""

from __future__ import annotations

import asyncio
import os
import ssl
from contextlib import suppress
from urllib.parse import urlsplit

import aiohttp

# How long a server that broke off may take to shake hands, seconds.
_HANDSHAKE = 2.0
_PLAIN = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST")
_BROKEN = (aiohttp.ServerDisconnectedError, aiohttp.ClientResponseError, OSError)


def reason(error: BaseException, url: str, section: str) -> str:
    """Return why a request to *url* failed; *section* is ``plex`` or ``stash``.

    Nothing of a path or query is told: it may hold what was to be written.
    """
    parts = urlsplit(url)
    match error:
        case TimeoutError():
            return "no answer in time"
        case aiohttp.ClientConnectorCertificateError():
            return (
                "its TLS certificate is not trusted; add its authority to the system's"
                f" certificates (or SSL_CERT_FILE), or set {section}.verify_tls = false"
            )
        case aiohttp.ClientConnectorDNSError():
            return f"no host named {parts.hostname}; see {section}.url"
        case aiohttp.ClientConnectorSSLError():
            return _tls_reason(error, section)
        case aiohttp.ClientConnectorError():
            return _connect_reason(error.os_error, url)
        case _:
            return f"the connection broke ({type(error).__name__})"


async def first_reason(error: BaseException, url: str, section: str) -> str:
    """Return the same for a server that never answered: it may speak TLS instead."""
    if (
        url.startswith("http://")
        and isinstance(error, _BROKEN)
        and not isinstance(error, aiohttp.ClientConnectorError | TimeoutError)
        and await speaks_tls(url)
    ):
        return f"it answers TLS; use https:// in {section}.url"
    return reason(error, url, section)


async def speaks_tls(url: str) -> bool:
    """Whether a server at *url* takes a TLS handshake; no certificate is checked."""
    parts = urlsplit(url)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        async with asyncio.timeout(_HANDSHAKE):
            _, writer = await asyncio.open_connection(
                parts.hostname, parts.port or 80, ssl=context
            )
    except (OSError, TimeoutError, ValueError):
        return False
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return True


def _tls_reason(error: aiohttp.ClientConnectorError, section: str) -> str:
    code = getattr(error.os_error, "reason", None) or ""
    if code.upper() in _PLAIN:
        return f"it answers plain HTTP; use http:// in {section}.url"
    return f"TLS failed ({code.replace('_', ' ').lower() or 'no reason given'})"


def _connect_reason(error: OSError, url: str) -> str:
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    where = f"{parts.hostname}:{port}"
    if isinstance(error, ConnectionRefusedError):
        return f"connection refused by {where}; is it running, and is the port right?"
    told = os.strerror(error.errno) if error.errno else type(error).__name__
    return f"no connection to {where}: {told}"
