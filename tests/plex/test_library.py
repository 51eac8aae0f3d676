"""PlexLibrary against a pretend Plex."""

from __future__ import annotations

import asyncio
import hashlib
import socket
import threading

import pytest
from pydantic import SecretStr

from stash2plex.errors import (
    AccessDenied,
    LibraryNotFound,
    RequestRejected,
    ServerFault,
    ServiceUnavailable,
    StaleCatalog,
)
from stash2plex.plex.connection import PlexConnection
from stash2plex.plex.library import PlexLibrary
from stash2plex.sandbox.scenes import cover


async def entries(library, section=1, since=None):
    return [one async for page, _ in library.entries(section, since) for one in page]


async def test_the_server_tells_who_it_is(plex, plex_library):
    server = await plex_library.server()

    assert (server.machine, server.version) == ("pretend-machine", plex.version)
    assert plex.clients == {"test-client"}


async def test_only_movie_libraries_count(plex, plex_library):
    plex.sections[2] = "More"

    assert [one.title for one in await plex_library.sections()] == ["Scenes", "More"]
    assert len(await plex_library.every_section()) == 3


async def test_unknown_libraries_are_named(plex, settings):
    plex.sections[2] = "More"
    async with PlexConnection.open(settings.plex, "c") as connection:
        some = PlexLibrary(connection, ["More", "Mroe"])
        assert [one.title for one in await some.sections()] == ["More"]
        assert some.missing(await some.sections()) == ["Mroe"]
        with pytest.raises(LibraryNotFound, match="'Nope'; it has 'Scenes', 'More'"):
            await PlexLibrary(connection, ["Nope"]).sections()


async def test_a_listing_is_read_in_pages(plex, plex_library):
    for number in range(2300):
        plex.add(f"/media/{number}.mp4", size=number + 1)

    found = await entries(plex_library)

    assert len(found) == 2300
    assert found[0].files[0].path == "/media/0.mp4"
    assert found[0].files[0].size == 1
    listings = [path for _, path in plex.requests if "/all?" in path]
    assert len(listings) == 3


async def test_news_is_asked_for_by_time(plex, plex_library):
    plex.add("/old.mp4").updated_at = 1000
    plex.items[1].added_at = 1000
    plex.add("/new.mp4")

    assert {one.rating_key for one in await entries(plex_library, since=2000)} == {2}


async def test_a_file_is_found_by_name_even_with_a_comma(plex, plex_library):
    plex.add("/media/one, two three.mp4")
    plex.add("/media/other.mp4")

    found = await plex_library.entries_named(1, "one, two three.mp4")

    assert [one.rating_key for one in found] == [1]
    assert await plex_library.entries_named(1, " , ") == []


async def test_items_are_read_whole_and_many_at_once(plex, plex_library):
    item = plex.add("/a.mp4", summary="S\u00e4tze \U0001f44d", userRating="8.5")
    item.tags = {
        name: list("abcde") for name in ("genre", "actor", "director", "collection")
    }
    item.locked = {"title"}
    plex.add("/b.mp4")

    items = await plex_library.items([1, 2, 3])

    assert set(items) == {1, 2}
    assert items[1].tags["genre"] == tuple("abcde")
    assert items[1].tags["actor"] == tuple("abcde")
    assert items[1].text["summary"] == "S\u00e4tze \U0001f44d"
    assert items[1].text["studio"] == ""
    assert items[1].locked == {"title"}
    assert (items[1].section_id, items[1].thumb) == (1, "")
    assert items[1].holds("/a.mp4")
    assert not items[1].holds("/b.mp4")
    assert plex.count() == 1
    assert plex.refreshed_on_read == 0
    assert await plex_library.items([8, 9]) == {}
    assert await plex_library.items([]) == {}


async def test_a_rating_can_be_taken_back(plex, plex_library):
    plex.add("/a.mp4", userRating="8")

    await plex_library.clear_rating(1)

    assert plex.items[1].text["userRating"] == ""


@pytest.mark.parametrize("field", ["thumb", "art"])
async def test_a_picture_goes_by_the_key_that_plex_lists(plex, plex_library, field):
    plex.add("/a.mp4").provided[field] = cover(3)

    await plex_library.upload(1, field, cover(1))
    await plex_library.upload(1, field, cover(2))
    assert plex.items[1].picture(field) == cover(2)
    # Bytes that Plex has already are not shown again by another upload.
    await plex_library.upload(1, field, cover(1))
    assert plex.items[1].picture(field) == cover(2)

    listed = await plex_library.pictures(1, field)
    digests = [hashlib.sha1(cover(n)).hexdigest() for n in (1, 2)]  # noqa: S324
    assert [one.digest for one in listed] == [*digests, ""]
    assert [one.selected for one in listed] == [False, True, False]
    await plex_library.select(1, field, listed[0].key)
    assert plex.items[1].picture(field) == cover(1)
    assert plex.items[1].locked == {field}
    await plex_library.drop_picture(1, field)
    assert plex.items[1].picture(field) == cover(3)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, RequestRejected),
        (405, RequestRejected),
        (401, AccessDenied),
        (403, AccessDenied),
        (404, StaleCatalog),
        (408, ServiceUnavailable),
        (429, ServiceUnavailable),
        (500, ServerFault),
        (502, ServiceUnavailable),
        (503, ServiceUnavailable),
        (504, ServiceUnavailable),
        (507, ServerFault),
        (599, ServerFault),
        (302, ServiceUnavailable),
    ],
)
async def test_the_status_decides_which_error_it_is(plex, plex_library, status, error):
    await plex_library.server()
    plex.status = status

    with pytest.raises(error) as raised:
        await plex_library.every_section()

    assert type(raised.value) is error or issubclass(type(raised.value), error)
    assert isinstance(raised.value, ServiceUnavailable) == issubclass(
        error, ServiceUnavailable
    )
    assert plex.token not in str(raised.value)
    assert "http" not in str(raised.value).lower().replace("http ", "")


async def test_the_message_of_a_refused_token_is_exact(plex, settings):
    wrong = settings.plex.model_copy(update={"token": SecretStr("wrong-token")})
    async with PlexConnection.open(wrong, "c") as connection:
        with pytest.raises(AccessDenied) as raised:
            await PlexLibrary(connection, ()).server()

    assert str(raised.value) == (
        "Plex refused the token: HTTP 401; set plex.token to the token of the server's owner"
    )


@pytest.mark.parametrize(
    ("garbage", "reason"),
    [
        (b"<MediaContainer><Vid", "cut short or no XML"),
        (b"<html><body>hi</body></html>", r"is plex\.url right"),
        (b"", "its answer is empty"),
        (b"<MediaContainer/>", "not a Plex server's"),
    ],
)
async def test_what_cannot_be_read_is_an_outage(plex, plex_library, garbage, reason):
    plex.garbles = garbage

    with pytest.raises(ServiceUnavailable, match=reason):
        await plex_library.server()


async def test_nobody_there(settings):
    nowhere = settings.plex.model_copy(update={"url": "http://127.0.0.1:9"})
    async with PlexConnection.open(nowhere, "c") as connection:
        with pytest.raises(
            ServiceUnavailable, match=r"connection refused by 127\.0\.0\.1:9;"
        ):
            await PlexLibrary(connection, ()).server()


async def test_a_plex_that_hangs_is_given_up(plex, settings):
    quick = settings.plex.model_copy(update={"timeout": 0.2})
    plex.hangs = True
    async with PlexConnection.open(quick, "c") as connection:
        with pytest.raises(ServiceUnavailable, match="no answer in time"):
            await PlexLibrary(connection, ()).server()


async def test_a_connection_closed_while_idle_is_tried_again(settings):
    """A server that closes a kept connection when the next request is on its way."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    answer = b"<MediaContainer machineIdentifier='m' version='1'/>"
    head = (
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nContent-Type: text/xml\r\n\r\n"
        % len(answer)
    )

    def serve():
        for is_kept in (True, False):
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(head + answer)
                if is_kept:
                    connection.recv(65536)  # the next request

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    here = settings.plex.model_copy(update={"url": f"http://127.0.0.1:{port}"})
    async with PlexConnection.open(here, "c") as connection:
        for _ in range(2):
            assert (await PlexLibrary(connection, ()).server()).machine == "m"
    await asyncio.to_thread(thread.join)
    listener.close()


async def test_no_more_requests_at_once_than_told(plex, settings):
    plex.latency = 0.02
    for number in range(12):
        plex.add(f"/{number}.mp4")
    two = settings.plex.model_copy(update={"concurrency": 2})
    async with PlexConnection.open(two, "c") as connection:
        library = PlexLibrary(connection, ())
        await library.server()
        plex.most_in_flight = 0
        await asyncio.gather(*(library.items([key]) for key in range(1, 13)))

    assert plex.most_in_flight == 2


@pytest.mark.parametrize("garbage", [b"<html/>", b"<MediaContainer><Vi", b" <p>hello"])
async def test_a_page_of_a_proxy_is_no_success(plex, plex_library, garbage):
    plex.add("/media/1.mp4")
    plex.garbles = garbage
    with pytest.raises(ServiceUnavailable):
        await plex_library.put("/library/sections/1/all?type=1&id=1&title.value=New")
