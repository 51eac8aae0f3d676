"""Pictures of Stash for Plex: fetched with our key, shaped, kept on disk, signed.

What a picture is made from goes by its SHA-1, so its URL changes when it does and not
with every edit of the scene. Whether a scene has a cover at all only Stash's answer to
a request for it tells.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stash2plex.errors import (
    PictureNotFound,
    PictureUnreadable,
    PictureUnusable,
    Stash2PlexError,
    StoreUnavailable,
)
from stash2plex.movie import LINE_LIMIT
from stash2plex.pictures import NotAPicture, Shape, shaped_aside
from stash2plex.provider.documents import Pictures
from stash2plex.provider.scenes import PATIENCE
from stash2plex.scene import rating_key_of, scene_of_rating_key
from stash2plex.stash.answers import parsed_time
from stash2plex.text import clean_line

if TYPE_CHECKING:
    from stash2plex.db.database import Database
    from stash2plex.provider.background import Background
    from stash2plex.provider.cache import DiskCache
    from stash2plex.provider.signing import Signer
    from stash2plex.scene import Scene
    from stash2plex.stash.client import StashClient
    from stash2plex.stash.pictures import PictureAnswer

_VERSION_LENGTH = 12
# Stash's times are in whole seconds, and clocks differ; see `push.artwork`.
_SETTLING = 5.0
_FRESH = 60.0
_MOST_RECENT = 1000
_MOST_ROWS = 10_000


# What a look at a picture brings: its SHA-1, "" for none, and perhaps its bytes.
_Look = tuple[str, bytes | None]


@dataclass(frozen=True, slots=True)
class _Known:
    """What a picture was when we last looked; *digest* is "" for none."""

    stamp: str
    etag: str
    digest: str
    seen_at: float


class Images:
    """Says where pictures are, and serves them."""

    def __init__(
        self,
        *,
        database: Database,
        stash: StashClient,
        cache: DiskCache,
        signer: Signer,
        poster: Shape,
        background: Background,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._background = background
        self._database = database
        self._stash = stash
        self._cache = cache
        self._signer = signer
        self._shapes: Mapping[str, Shape] = {
            "poster": poster,
            "art": "wide",
            "square": "square",
            "portrait": "original",
            "logo": "logo",
        }
        self._now = now
        # The table's rows by subject, as far as they were needed; only we write them.
        self._rows: dict[str, _Known | None] = {}
        # What a cover was a moment ago: Plex asks for metadata and images in one go.
        self._recent: dict[int, tuple[str, float]] = {}
        self._looking: dict[tuple[str, bool], asyncio.Task[_Look]] = {}

    # --- where they are ---------------------------------------------------------

    async def pictures_of(self, scene: Scene, base: str, *, look: bool) -> Pictures:
        """Return the URLs of a scene's pictures under *base*.

        With *look*, Stash is asked what the cover is, unless that is known; without,
        it is taken to be there.
        """
        subject = rating_key_of(scene.id)
        people = {f"performer-{one.id}": one for one in scene.performers if one.image}
        studio = f"studio-{scene.studio_id}"
        known = await self._known([subject, *people, studio])
        cover = ""
        if scene.screenshot:
            cover = await self._cover(scene, subject, known.get(subject), look=look)
        return Pictures(
            poster=self._cover_url(base, subject, "poster", cover),
            background=self._cover_url(base, subject, "art", cover),
            square=self._cover_url(base, subject, "square", cover),
            logo=self._stamped_url(base, studio, "logo", scene.studio_image, known),
            performers={
                clean_line(one.name, LINE_LIMIT): self._stamped_url(
                    base, name, "portrait", one.image, known
                )
                for name, one in people.items()
            },
        )

    async def poster_of(self, scene: Scene, base: str) -> str:
        """Return the URL of a scene's poster without asking what the cover is."""
        if not scene.screenshot:
            return ""
        subject = rating_key_of(scene.id)
        known = (await self._known([subject])).get(subject)
        version = await self._cover(scene, subject, known, look=False)
        return self._cover_url(base, subject, "poster", version)

    def _cover_url(self, base: str, subject: str, kind: str, digest: str) -> str:
        if not digest:
            return ""
        return self._signer.url(base, subject, kind, self._version(digest, kind))

    async def _cover(
        self, scene: Scene, subject: str, known: _Known | None, *, look: bool
    ) -> str:
        """Return what the cover is made from, "" for none, a guess at the worst."""
        changed = parsed_time(scene.updated_at)
        settled = (
            known is not None
            and changed is not None
            and known.stamp == scene.updated_at
            and known.seen_at - changed.timestamp() > _SETTLING
        )
        if look and not settled:
            recent = self._recent.get(scene.id)
            if recent and self._now() - recent[1] < _FRESH:
                return recent[0]
            try:
                async with asyncio.timeout(PATIENCE):
                    digest, _ = await self._look(subject, scene.updated_at)
            except (Stash2PlexError, TimeoutError):
                digest = known.digest if known else _digest(scene.updated_at.encode())
            self._note(scene.id, digest)
            return digest
        if known is not None:
            return known.digest
        return _digest(scene.updated_at.encode())

    def forget(self, scene_id: int | None = None) -> None:
        """Look at a cover (or all) again next time: it may have changed in Stash."""
        if scene_id is None:
            self._recent.clear()
        else:
            self._recent.pop(scene_id, None)

    def _note(self, scene_id: int, digest: str) -> None:
        self._recent[scene_id] = (digest, self._now())
        while len(self._recent) > _MOST_RECENT:
            del self._recent[next(iter(self._recent))]

    def _stamped_url(
        self, base: str, subject: str, kind: str, url: str, known: Mapping[str, _Known]
    ) -> str:
        """Return the URL of a picture whose own URL in Stash changes with it."""
        if not url:
            return ""
        stamp = _digest(url.encode())[:_VERSION_LENGTH]
        before = known.get(subject)
        if before and before.stamp == stamp and not before.digest:
            return ""
        return self._signer.url(base, subject, kind, stamp)

    def _version(self, digest: str, kind: str) -> str:
        return _digest(f"{digest}:{self._shapes[kind]}".encode())[:_VERSION_LENGTH]

    # --- serving them -----------------------------------------------------------

    async def serve(
        self, subject: str, kind: str, version: str, signature: str
    ) -> bytes:
        """Return the bytes of a picture.

        Raises `PictureNotFound` for a URL that we did not make and for a picture that
        is not there, `PictureFailed` or `ServiceUnavailable` when Stash fails.
        """
        if not self._signer.is_ours(subject, kind, version, signature):
            raise PictureNotFound("there is no such picture")
        shape = self._shapes[kind]
        before = (await self._known([subject])).get(subject)
        digest, source = before.digest if before else "", None
        if before is None or version not in {
            before.stamp,
            self._version(before.digest, kind),
        }:
            stamp = None if scene_of_rating_key(subject) else version
            try:
                digest, source = await self._look(subject, stamp)
            except Stash2PlexError:
                if not digest:
                    raise  # else an older picture is better than none
        data = await self._kept(digest, shape)
        if data is None and digest:
            if source is None:
                digest, source = await self._source(subject, digest)
            data = await self._shaped(digest, source, shape)
        if data is None:
            raise PictureNotFound("Stash has no picture there")
        return data

    async def _kept(self, digest: str, shape: Shape) -> bytes | None:
        return await self._cache.get(f"{digest}-{shape}") if digest else None

    async def _shaped(
        self, digest: str, source: bytes | None, shape: Shape
    ) -> bytes | None:
        if not digest or source is None:
            return None
        try:
            data = await shaped_aside(source, shape)
        except NotAPicture as error:
            raise PictureUnusable(f"the picture in Stash: {error}") from error
        await self._cache.put(f"{digest}-{shape}", data)
        return data

    async def _source(self, subject: str, digest: str) -> _Look:
        """Return a picture's bytes, and what they are: it may have changed."""
        kept = await self._cache.get(f"{digest}-source")
        if kept is not None:
            return digest, kept
        self._rows.pop(subject, None)
        return await self._look(subject, None, afresh=True)

    async def _look(
        self, subject: str, stamp: str | None, *, afresh: bool = False
    ) -> _Look:
        """Ask Stash what a picture is: its SHA-1, "" for none, and perhaps its bytes.

        Who asks meanwhile shares the answer. With *afresh* the bytes come if there are
        any.
        """
        looking = self._looking.get((subject, afresh))
        if looking is None:
            looking = self._background.start(self._ask(subject, stamp, afresh=afresh))
            self._looking[subject, afresh] = looking
            looking.add_done_callback(
                lambda _: self._looking.pop((subject, afresh), None)
            )
        return await asyncio.shield(looking)

    async def _ask(self, subject: str, stamp: str | None, *, afresh: bool) -> _Look:
        before = (await self._known([subject])).get(subject)
        etag = before.etag if before and not afresh else ""
        digest, data = "", None
        if url := await self._url(subject):
            try:
                answer = await self._fetch(subject, url, etag)
            except PictureUnusable as error:
                etag = error.etag
                digest = before.digest if before else ""
            else:
                etag, data = answer.etag, answer.data
                if before and not answer.is_known_to_be_none:
                    digest = before.digest
        if data is not None:
            made = await _digest_of_picture(data)
            if made:
                digest = made
                await self._cache.put(f"{digest}-source", data)
            else:
                data = None  # of no use: the former picture stays
        if stamp is None:
            stamp = before.stamp if before and before.digest == digest else ""
        await self._remember(subject, _Known(stamp, etag, digest, self._now()))
        return digest, data if digest else None

    async def _fetch(self, subject: str, url: str, etag: str) -> PictureAnswer:
        """Fetch a picture; raises `PictureUnreadable` for one that Stash cannot show.

        A performer or studio whose URL says that there is one has one.
        """
        if scene_id := scene_of_rating_key(subject):
            return await self._stash.cover(scene_id, etag)
        answer = await self._stash.picture(url, etag)
        if answer.is_known_to_be_none:
            raise PictureUnreadable(f"Stash cannot read the picture of {subject}")
        return answer

    async def _remember(self, subject: str, known: _Known) -> None:
        self._rows[subject] = known
        # It can be learned again; what was asked for is at hand.
        with suppress(StoreUnavailable):
            async with self._database.transaction(durable=False) as transaction:
                await transaction.run(
                    "INSERT OR REPLACE INTO picture VALUES (?, ?, ?, ?, ?)",
                    subject,
                    known.stamp,
                    known.etag,
                    known.digest,
                    known.seen_at,
                )

    async def _url(self, subject: str) -> str:
        """Return where Stash has a picture, "" if it has none."""
        kind, _, number = subject.partition("-")
        if kind == "scene":
            return self._stash.url_of(f"/scene/{number}/screenshot")
        return await self._stash.image_url(kind, int(number))

    async def _known(self, subjects: Sequence[str]) -> dict[str, _Known]:
        unread = [one for one in subjects if one not in self._rows]
        if unread:
            marks = ", ".join("?" * len(unread))
            rows = await self._database.fetch(
                f"SELECT * FROM picture WHERE subject IN ({marks})", *unread
            )
            for subject in unread:
                self._rows.setdefault(subject, None)
            for row in rows:
                self._rows[row["subject"]] = _Known(
                    row["stamp"], row["etag"], row["digest"], row["seen_at"]
                )
        found = {one: known for one in subjects if (known := self._rows.get(one))}
        while len(self._rows) > _MOST_ROWS:
            del self._rows[next(iter(self._rows))]
        return found


async def _digest_of_picture(data: bytes) -> str:
    """Return what names a picture, "" for bytes that are none."""
    try:
        await shaped_aside(data, "original")
    except NotAPicture:
        return ""
    return _digest(data)


def _digest(data: bytes) -> str:
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()
