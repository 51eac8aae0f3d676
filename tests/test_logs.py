"""What the log says, and what it never says."""

from __future__ import annotations

import io
import json
import logging

import pytest
import structlog

from stash2plex.logs import Secrets, configure


@pytest.fixture
def secrets():
    return Secrets(["plex-secret-token", "key"])


def lines(style, secrets, say):
    stream = io.StringIO()
    configure("info", style, secrets, stream=stream)
    say(structlog.get_logger())
    return stream.getvalue().splitlines()


def test_a_reader_that_went_away_is_the_end_of_it(capsys):
    class Gone(io.StringIO):
        def write(self, _):
            raise BrokenPipeError

    configure("info", "json", Secrets(), stream=Gone())
    for _ in range(3):
        structlog.get_logger().info("somebody_reads")

    assert capsys.readouterr() == ("", "")


def test_json_has_fields(secrets):
    (line,) = lines(
        "auto",
        secrets,
        lambda log: log.info("scene_delivered", scene=7, changed=["title"]),
    )

    record = json.loads(line)
    assert (record["event"], record["scene"], record["level"]) == (
        "scene_delivered",
        7,
        "info",
    )
    assert record["timestamp"].endswith("Z")


def test_console_is_for_people(secrets):
    (line,) = lines(
        "console", secrets, lambda log: log.info("scene_delivered", scene=7)
    )

    assert "scene_delivered" in line
    assert "scene=7" in line


def test_levels_hold_and_foreign_records_join_in(secrets):
    def say(log):
        log.debug("hidden")
        logging.getLogger("urllib3").info("hidden")
        logging.getLogger("other").warning("shown %s", "plainly")

    (line,) = lines("json", secrets, say)

    assert json.loads(line)["event"] == "shown plainly"


@pytest.mark.parametrize("style", ["json", "console"])
def test_secrets_are_masked_everywhere(secrets, style):
    def say(log):
        log.info(
            "plex-secret-token", a="x plex-secret-token y", b=["plex-secret-token"]
        )
        log.info("nested", a={"b": ("http://h/?X-Plex-Token=abc123&x=1",)}, n=5)
        log.info(
            "header", text="{'ApiKey': 'abc123'}", more="Authorization: Bearer abc123"
        )
        log.info("url", url="http://s/scene/1?apikey=abc123#frag")
        try:
            raise ValueError(
                "failed at http://h/?X-Plex-Token=abc123 plex-secret-token"
            )
        except ValueError:
            log.exception("crashed")

    text = "\n".join(lines(style, secrets, say))

    assert "plex-secret-token" not in text
    assert "abc123" not in text
    assert "ValueError" in text
    assert "***" in text


def test_a_secret_too_short_to_be_one_masks_nothing(secrets):
    assert secrets.mask("a key to it") == "a key to it"


def test_a_secret_that_begins_like_another():
    found = Secrets(["abcd", "abcdEFGHIJKL", "sekret+/x"])

    assert found.mask("abcdEFGHIJKL abcd") == "*** ***"
    assert found.mask("q=sekret%2B%2Fx") == "q=***"
