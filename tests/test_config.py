"""Loading, overriding, refusing: every message names file, key, value and remedy."""

from __future__ import annotations

import re

import pytest
from pydantic import ValidationError

from stash2plex.api_token import token_of
from stash2plex.config import ServerSettings, Settings, StashSettings
from stash2plex.config_file import load
from stash2plex.errors import ConfigError


@pytest.fixture
def file(tmp_path):
    return tmp_path / "config.toml"


def refusal(file, text, environment=None):
    file.write_text(text)
    with pytest.raises(ConfigError) as raised:
        load(file, environment or {})
    return str(raised.value)


def test_defaults_are_the_contracts(file):
    file.write_text("")
    settings = load(file, {})

    assert (settings.server.host, settings.server.port) == ("0.0.0.0", 9898)
    assert settings.stash.url == "http://127.0.0.1:9999"
    assert (settings.stash.timeout, settings.stash.page_size) == (10, 500)
    assert settings.plex.url == "http://127.0.0.1:32400"
    assert (settings.plex.timeout, settings.plex.concurrency, settings.plex.pace) == (
        30,
        4,
        0,
    )
    assert settings.plex.libraries == ()
    assert (settings.match.strict, settings.match.fallback) == (True, "basename")
    assert settings.match.not_found == "retry"
    assert (settings.sync.mode, settings.sync.lock, settings.sync.max_tags) == (
        "mirror",
        True,
        100,
    )
    assert all(settings.sync.fields.model_dump().values())
    queue = settings.queue
    assert (queue.max_attempts, queue.retry_base, queue.retry_cap) == (5, 5, 80)
    assert (queue.not_found_attempts, queue.not_found_base, queue.not_found_cap) == (
        12,
        30,
        600,
    )
    assert (settings.outage.failure_threshold, settings.outage.open_seconds) == (5, 60)
    assert (settings.outage.probe_min, settings.outage.probe_max) == (5, 60)
    assert (settings.provider.poster, settings.provider.content_rating) == (
        "crop",
        "XXX",
    )
    assert settings.log.level == "info"


def test_the_environment_beats_a_file_beats_the_file(file, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("from-secret-file\n")
    file.write_text('[plex]\ntoken = "from-file"\nlibraries = ["A"]\n')
    variables = {
        "STASH2PLEX_PLEX__TOKEN": "from-environment",
        "STASH2PLEX_PLEX__TOKEN_FILE": str(secret),
        "STASH2PLEX_PLEX__LIBRARIES": '["B", "C"]',
        "STASH2PLEX_SYNC__FIELDS__POSTER": "false",
        "STASH2PLEX_QUEUE__MAX_ATTEMPTS": "9",
        "STASH2PLEX_CONFIG": "ignored here",
        "UNRELATED": "x",
    }

    both = load(file, variables)
    del variables["STASH2PLEX_PLEX__TOKEN"]
    from_secret = load(file, variables)

    assert both.plex.token.get_secret_value() == "from-environment"
    assert both.plex.libraries == ("B", "C")
    assert both.sync.fields.poster is False
    assert both.queue.max_attempts == 9
    assert from_secret.plex.token.get_secret_value() == "from-secret-file"
    assert load(file, {}).plex.token.get_secret_value() == "from-file"
    assert list(from_secret.secrets()) == ["from-secret-file"]


def test_path_rules_come_from_either(file):
    rule = '{"name": "r", "stash": "^/a/(?P<x>.+)$", "plex": "^/b/(?P<x>.+)$"}'
    file.write_text(
        "[[path_rules]]\nname = 'r'\nstash = '^/a/(?P<x>.+)$'\nplex = '^/b/(?P<x>.+)$'\n"
    )

    assert (
        load(file, {}).path_rules
        == load(file, {"STASH2PLEX_PATH_RULES": f"[{rule}]"}).path_rules
    )


def test_relative_paths_start_at_the_file(file, tmp_path):
    file.write_text('[server]\ndata_dir = "state"\n')
    assert load(file, {}).server.data_dir == tmp_path / "state"
    file.write_text('[server]\ndata_dir = "/var/lib/x"\n')
    assert str(load(file, {}).server.data_dir) == "/var/lib/x"


def test_a_missing_default_file_is_fine_a_named_one_is_not(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load(None, {}).server.port == 9898
    with pytest.raises(ConfigError, match=r"no\.toml: no such file.*stash2plex init"):
        load(tmp_path / "no.toml", {})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[plex]\nlibary = "x"', "plex.libary: unknown key; known here: url, token"),
        ("[plx]\nx = 1", "plx: unknown key; known here: server, stash, plex"),
        (
            "[sync.fields]\nposterr = true",
            "sync.fields.posterr: unknown key; known here: title",
        ),
        (
            "[queue]\nmax_attempts = 'many'",
            "queue.max_attempts = 'many': must be a whole number",
        ),
        (
            "[queue]\nmax_attempts = 0",
            "queue.max_attempts = 0: input should be greater than",
        ),
        ("[sync]\nmax_tags = 501", "sync.max_tags = 501: input should be less than"),
        (
            "[sync]\nmode = 'mirrored'",
            "sync.mode = 'mirrored': input should be 'mirror', 'fill' or",
        ),
        (
            "[plex]\nurl = 'plex:32400'",
            "plex.url = 'plex:32400': must be a URL such as",
        ),
        ("[plex]\nurl = 'http://u:p@plex'", "must be a plain URL"),
        ("[plex]\nurl = 'http://plex:x'", "plex.url"),
        ("[plex]\ntimeout = -1", "plex.timeout = -1"),
        ("[plex]\ntimeout = nan", "plex.timeout = nan"),
        ("[server]\nport = 70000", "server.port = 70000"),
        ("[plex\n", "is not valid TOML: Expected ']'"),
        ("sync = 3", "sync = 3"),
        (
            "[[path_rules]]\nname = 'a'\nstash = '('\nplex = 'x'",
            "path rule 'a': stash is not a regular",
        ),
        (
            "[[path_rules]]\nname = 'a'\nstash = '/a'",
            "path_rules.0.plex: is missing",
        ),
        (
            "[[path_rules]]\nname = 'a'\nstash = '/a'\nplx = 'x'",
            "path_rules.0.plx: unknown key",
        ),
        ("[queue]\nretry_cap = '" + "9" * 200 + "x'", "..."),
    ],
)
def test_what_is_wrong_is_named(file, text, expected):
    message = refusal(file, text)

    assert message.startswith(str(file))
    assert expected in message


def test_every_problem_is_told_at_once(file):
    assert (
        len(refusal(file, "[queue]\nmax_attempts = 0\nretry_base = 0\n").splitlines())
        == 2
    )


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        (
            "STASH2PLEX_PLEX__TOKN",
            "secret-value",
            "STASH2PLEX_PLEX__TOKN: plex.tokn: unknown key",
        ),
        ("STASH2PLEX_NOPE__X", "x", "there is no section 'nope'"),
        ("STASH2PLEX_PLEX", "x", "name a key too, as in STASH2PLEX_PLEX__KEY"),
        ("STASH2PLEX_PLEX__LIBRARIES", "Movies", "must be JSON"),
        (
            "STASH2PLEX_PLEX__TOKEN_FILE",
            "/no/such/file",
            "STASH2PLEX_PLEX__TOKEN_FILE=/no/such/file",
        ),
        (
            "STASH2PLEX_QUEUE__RETRY_BASE",
            "x",
            "STASH2PLEX_QUEUE__RETRY_BASE: queue.retry_base = 'x'",
        ),
    ],
)
def test_what_is_wrong_in_the_environment_is_named(file, name, value, expected):
    message = refusal(file, "", {name: value})

    assert expected in message
    assert "secret-value" not in message


def test_a_wrong_secret_file_names_its_variable(file, tmp_path):
    (tmp_path / "n").write_text("three")

    assert "STASH2PLEX_SERVER__PORT_FILE: server.port = 'three'" in refusal(
        file, "", {"STASH2PLEX_SERVER__PORT_FILE": str(tmp_path / "n")}
    )


@pytest.mark.parametrize(
    "key", ["[plex]\ntoken", "[stash]\napi_key", "[server]\ntoken"]
)
def test_a_secret_is_never_quoted(file, key):
    message = refusal(file, f'{key} = "line\\nbreak-secret"')

    assert "must be printable ASCII" in message
    assert "break-secret" not in message


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load(tmp_path, {})
    (tmp_path / "latin").write_bytes(b"[plex]\ntoken = '\xe4'")
    with pytest.raises(ConfigError, match="save it as UTF-8"):
        load(tmp_path / "latin", {})


def test_settings_cannot_change_under_our_feet():
    from pydantic import ValidationError

    with pytest.raises(ValidationError):
        Settings().sync.mode = "fill"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('path = "/"', "must be a path such as /plex"),
        ('path = "plex"', "must be a path such as /plex"),
        ('path = "/a/../b"', "must be a path such as /plex"),
        ('path = "/api/x"', "is taken"),
        ('secret = "a/b"', "must consist of letters"),
        ('identifier = "com.example"', "must start with tv.plex.agents.custom."),
        ('identifier = "tv.plex.agents.custom."', "must start with"),
        ('public_url = "img.example.net"', "must be a URL"),
        ("image_cache_mb = -1", "greater than or equal to 0"),
        ('title = ""', "at least 1 character"),
        ('media_roots = [{plex = "/m", there = "/x"}]', "known here: plex, here"),
    ],
)
def test_the_providers_settings_are_checked(tmp_path, line, words):
    file = tmp_path / "c.toml"
    file.write_text(f"[provider]\n{line}\n")

    with pytest.raises(ConfigError, match=re.escape(words)) as raised:
        load(file, {})

    assert "a/b" not in str(raised.value)


def test_the_providers_folders_start_at_the_file(tmp_path):
    file = tmp_path / "c.toml"
    file.write_text(
        '[provider]\npath = "/plex/"\nmedia_roots = [{plex = "/media", here = "mnt"}]\n'
    )

    provider = load(file, {}).provider

    assert provider.path == "/plex"
    assert provider.media_roots[0].here == tmp_path / "mnt"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("server = 1", "server = 1: must be a table, [server]"),
        ('[plex]\nlibraries = "Scenes"', "plex.libraries = 'Scenes': must be a list"),
        (
            "[path_rules]\nname = 'x'",
            "must be a list of tables, each headed [[path_rules]]",
        ),
        (
            '[provider]\npublic_url = "x"',
            "provider.public_url = 'x': must be a URL such as",
        ),
        ("[stash]\nverify_tls = 5", "stash.verify_tls = 5: must be true or false"),
        ("[reconcile]\ninterval = '61 * * * *'", "minute cannot be '61'"),
        ("[reconcile]\ntimezone = 'Mars'", "must be a time zone such as"),
        ("[reconcile]\nscope = '1h'", "reconcile.scope = '1h'"),
        ("[stash]\npoll_interval = -1", "stash.poll_interval = -1"),
    ],
)
def test_what_is_wrong_is_told_in_our_words(tmp_path, text, said):
    path = tmp_path / "config.toml"
    path.write_text(text)

    with pytest.raises(ConfigError) as error:
        load(path, {})
    assert said in str(error.value)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize(
    "url",
    [
        "http://joe:hunter22@nas:9999",
        "http://:hunter22@nas:9999",
        "http://n/?T=hunter22",
    ],
)
def test_a_password_in_a_url_is_refused_and_not_repeated(tmp_path, url):
    file = tmp_path / "c.toml"
    file.write_text(f'[stash]\nurl = "{url}"\n')
    with pytest.raises(ConfigError) as raised:
        load(file, {})

    assert "stash.url: must be" in str(raised.value)
    assert "hunter22" not in str(raised.value)


@pytest.mark.parametrize("line", ["auto", 1000, "30000"])
def test_a_request_line_is_a_number_or_learned(line):
    expected = None if line == "auto" else int(line)
    assert Settings(plex={"max_request_line": line}).plex.longest_target == expected


@pytest.mark.parametrize("line", ["soon", 999, -1, "", 2.5, None, "\u0663000"])
def test_any_other_request_line_is_explained(line):
    with pytest.raises(ValidationError, match='must be "auto" or a number of bytes'):
        Settings(plex={"max_request_line": line})


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("http://stash:9999/graphql", "http://stash:9999"),
        ("http://stash:9999/graphql/", "http://stash:9999"),
        ("https://nas/stash/settings?tab=security", "https://nas/stash"),
        ("http://stash:9999/scenes/12?x=1#y", "http://stash:9999"),
        (" http://stash:9999/ ", "http://stash:9999"),
        ("http://stash:9999/scenes?c=1", "http://stash:9999"),
        ("http://stash:9999/performers/7", "http://stash:9999"),
        ("http://nas/movies", "http://nas/movies"),
        ("http://nas/images/stash", "http://nas/images/stash"),
        ("https://nas/scenery", "https://nas/scenery"),
        ("https://nas/stash", "https://nas/stash"),
    ],
)
def test_the_address_of_a_page_of_stash_leads_to_its_base(given, url):
    assert StashSettings(url=given).url == url


@pytest.mark.parametrize("given", ["stash:9999", "http://stash?x=1", "ftp://stash"])
def test_other_addresses_of_stash_are_refused(given):
    with pytest.raises(ValidationError):
        StashSettings(url=given)


SERVICE_LINKS = {
    "STASH2PLEX_SERVICE_HOST": "10.43.0.7",
    "STASH2PLEX_SERVICE_PORT": "9898",
    "STASH2PLEX_SERVICE_PORT_HTTP": "9898",
    "STASH2PLEX_PORT": "tcp://10.43.0.7:9898",
    "STASH2PLEX_PORT_9898_TCP": "tcp://10.43.0.7:9898",
    "STASH2PLEX_PORT_9898_TCP_PROTO": "tcp",
    "STASH2PLEX_PORT_9898_TCP_PORT": "9898",
    "STASH2PLEX_PORT_9898_TCP_ADDR": "10.43.0.7",
    # of a Service called stash2plex-server
    "STASH2PLEX_SERVER_SERVICE_HOST": "10.43.0.8",
    "STASH2PLEX_SERVER_PORT": "tcp://10.43.0.8:9898",
    "STASH2PLEX_SERVER_PORT_9898_TCP": "tcp://10.43.0.8:9898",
    # of a port called file
    "STASH2PLEX_SERVICE_PORT_FILE": "9",
}


def test_what_kubernetes_sets_for_a_service_is_no_setting(file):
    file.write_text("")
    assert load(file, SERVICE_LINKS) == load(file, {})


@pytest.mark.parametrize(
    "name",
    [
        "STASH2PLEX_SERVICE__HOST",
        "STASH2PLEX_PORT__9898_TCP",
        "STASH2PLEX_SERVER_PORT",
        "STASH2PLEX_PORT",
        "STASH2PLEX_PLEX_TOKEN",
    ],
)
def test_misspelt_settings_are_still_refused(file, name):
    assert name in refusal(file, "", {name: "9898"})


@pytest.mark.parametrize("blank", ["", "  ", "\r\n"])
@pytest.mark.parametrize(
    "name",
    [
        "STASH2PLEX_PLEX__TOKEN",
        "STASH2PLEX_PLEX__TOKEN_FILE",
        "STASH2PLEX_SERVER__PORT",
        "STASH2PLEX_PLEX__LIBRARIES",
        "STASH2PLEX_PATH_RULES",
        "STASH2PLEX_NOT_YET",
    ],
)
def test_a_blank_variable_counts_as_unset(file, name, blank):
    file.write_text('[plex]\ntoken = "of the file"\n')
    assert load(file, {name: blank}) == load(file, {})


def test_a_blank_variable_leaves_its_file_variable_alone(file, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("of the secret")
    file.write_text("")
    settings = load(
        file,
        {"STASH2PLEX_PLEX__TOKEN": "", "STASH2PLEX_PLEX__TOKEN_FILE": str(secret)},
    )

    assert settings.plex.token.get_secret_value() == "of the secret"


@pytest.mark.parametrize("quote", ["'", '"'])
def test_values_in_quotes_are_named_as_such(file, tmp_path, quote):
    secret = tmp_path / "secret"
    secret.write_text(f"{quote}hush{quote}\n")
    for name, value in (
        ("STASH2PLEX_PLEX__TOKEN", f"{quote}hush{quote}"),
        ("STASH2PLEX_STASH__URL", f"{quote}http://stash:9999{quote} "),
        ("STASH2PLEX_PLEX__TOKEN_FILE", f"{quote}{secret}{quote}"),
        ("STASH2PLEX_PLEX__TOKEN_FILE", str(secret)),
    ):
        told = refusal(file, "", {name: value})

        assert f"environment: {name}" in told
        assert "is in quotes, which count; leave them out" in told
        assert "hush" not in told


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfabc\r\n",
        b"abc \t\r\n\r\n",
        "abc\r\n".encode("utf-16"),
        b"\xfe\xff" + "abc".encode("utf-16-be"),
        b"\rabc\r",
    ],
)
def test_a_token_file_works_whatever_editor_wrote_it(file, tmp_path, content):
    secret = tmp_path / "secret"
    secret.write_bytes(content)
    file.write_text("")
    settings = load(file, {"STASH2PLEX_PLEX__TOKEN_FILE": str(secret)})
    assert settings.plex.token.get_secret_value() == "abc"

    (tmp_path / "token").write_bytes(content)
    assert token_of(ServerSettings(data_dir=tmp_path)) == "abc"


def test_a_file_with_nothing_in_it_counts_as_unset(file, tmp_path):
    (tmp_path / "blank").write_text("\n")
    file.write_text('[plex]\ntoken = "of the file"\n')
    told = {
        "STASH2PLEX_PLEX__TOKEN_FILE": str(tmp_path / "blank"),
        "STASH2PLEX_SERVER__PORT_FILE": str(tmp_path / "blank"),
    }

    assert load(file, told) == load(file, {})
