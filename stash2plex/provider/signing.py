"""Image URLs that nobody but us can make.

Plex keeps them for years and hands them to its cloud, so they never expire and carry
no secret; the key stays in the data directory.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from pathlib import Path

from stash2plex.data_dir import kept_key

IMAGES = "/img"
_KEY_FILE = "image.key"
_SIGNATURE_LENGTH = 16


def image_key(folder: Path) -> bytes:
    """Return the signing key kept in *folder*, made if there is none."""
    return kept_key(folder, _KEY_FILE)


class Signer:
    """Signs the paths of pictures."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def url(self, base: str, subject: str, kind: str, version: str) -> str:
        """Return the URL of one picture; *version* changes with its content."""
        signature = self._signature(subject, kind, version)
        return f"{base}{IMAGES}/{subject}/{kind}?v={version}&s={signature}"

    def is_ours(self, subject: str, kind: str, version: str, signature: str) -> bool:
        """Whether we signed this; compared in constant time."""
        wanted = self._signature(subject, kind, version)
        return hmac.compare_digest(
            wanted.encode(), signature.encode("utf-8", "surrogateescape")
        )

    def _signature(self, subject: str, kind: str, version: str) -> str:
        message = f"{subject}/{kind}?{version}".encode("utf-8", "surrogateescape")
        digest = hmac.digest(self._key, message, hashlib.sha256)[:_SIGNATURE_LENGTH]
        return base64.urlsafe_b64encode(digest).decode("ascii").rstrip("=")
