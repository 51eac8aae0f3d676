"""The plugins as packages: built, served, and installed through Stash."""

from __future__ import annotations

import asyncio
import io
import os
import socket
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import aiohttp
import pytest
import yaml

from stash2plex import __released__, __version__
from stash2plex.cli import main
from stash2plex.plugin import (
    HTTP_HOOKS,
    IN_PROCESS_HOOKS,
    PLUGIN_ID,
    PLUGINS,
    TASKS,
)
from stash2plex.plugin_source import index_text, versions_in, write, zip_bytes, zip_name
from stash2plex.sandbox.subscriptions import LOG
from tests import packages
from tests.conftest import free_port, make_settings
from tests.running import running
from tests.upgrades.recorded import unpack_plugin


def test_the_same_bytes_every_time(tmp_path, monkeypatch):
    write(tmp_path / "one")
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    done = subprocess.run(
        [sys.executable, "-m", "stash2plex.plugin_source", str(tmp_path / "two")],
        check=False,
        cwd=Path(__file__).parents[1],
        umask=0o077,
        env=os.environ | {"PYTHONHASHSEED": "7"},
    )
    assert done.returncode == 0
    for name in ("index.yml", *map(zip_name, PLUGINS)):
        one, two = (tmp_path / folder / name for folder in ("one", "two"))
        assert one.read_bytes() == two.read_bytes()


each = pytest.mark.parametrize("plugin", PLUGINS, ids=lambda one: one.id)


@each
def test_a_zip_has_one_manifest_and_readable_files(plugin):
    with zipfile.ZipFile(io.BytesIO(zip_bytes(plugin))) as archive:
        assert archive.testzip() is None
        entries = archive.infolist()
    names = [one.filename for one in entries]

    assert set(names) == set(plugin.files)
    assert set(names) == {one.name for one in plugin.folder.iterdir() if one.is_file()}
    assert [one for one in names if one.endswith(".yml")] == [f"{plugin.id}.yml"]
    for one in entries:
        assert stat.S_IMODE(one.external_attr >> 16) == 0o644


def test_the_index_is_as_stash_reads_it():
    found = {one["id"]: one for one in packages.read_index(index_text().encode())}

    assert list(found) == [one.id for one in PLUGINS]
    for plugin in PLUGINS:
        row = found[plugin.id]
        assert row["name"] == plugin.name
        assert row["date"] == __released__
        assert row["version"].startswith(f"{__version__}-")
        assert row["requires"] == []
        assert versions_in(index_text())[plugin.id] == row["version"]


@each
def test_a_manifest_is_of_this_release_and_of_known_keys_only(plugin):
    """Stash refuses the whole plugin over a key that it does not know."""
    manifest = yaml.safe_load((plugin.folder / f"{plugin.id}.yml").read_text())

    assert str(manifest["version"]) == __version__
    assert (manifest["name"], manifest["description"]) == (
        plugin.name,
        plugin.description,
    )
    # Stash puts https:// before what is no whole address.
    assert manifest["url"].startswith("https://")
    assert set(manifest) <= {
        "name",
        "description",
        "url",
        "version",
        "exec",
        "interface",
        "errLog",
        "tasks",
        "hooks",
        "settings",
        "ui",
    }
    page = manifest.get("ui", {})
    assert set(page) <= {"javascript", "css", "requires", "assets", "csp"}
    for name in (*page.get("javascript", ()), *page.get("css", ())):
        assert name in plugin.files
    for one in manifest.get("tasks", ()):
        assert set(one) <= {"name", "description", "execArgs", "defaultArgs"}
        assert all(isinstance(value, str) for value in one["defaultArgs"].values())
    for one in manifest.get("settings", {}).values():
        assert set(one) <= {"displayName", "description", "type"}


def test_both_kinds_of_hooks_tell_of_the_same():
    triggers = {
        plugin.id: [
            kind
            for hook in yaml.safe_load(
                (plugin.folder / f"{plugin.id}.yml").read_text()
            ).get("hooks", ())
            for kind in hook["triggeredBy"]
        ]
        for plugin in PLUGINS
    }

    assert triggers[TASKS.id] == []
    assert triggers[IN_PROCESS_HOOKS.id] == triggers[HTTP_HOOKS.id]
    assert len(triggers[HTTP_HOOKS.id]) == 14


@each
def test_installed_from_a_file_and_updated(tmp_path, plugin):
    write(tmp_path / "dist")
    source = (tmp_path / "dist" / "index.yml").as_uri()
    for _ in range(2):
        folder = packages.install(source, plugin.id, tmp_path / "plugins", "local")

    assert {one.name for one in folder.iterdir()} == {*plugin.files, "manifest"}


async def test_served_without_a_token_and_with_nothing_else(daemon):
    async with aiohttp.ClientSession() as session:
        for name, kind in (
            ("index.yml", "application/yaml"),
            *((zip_name(one), "application/zip") for one in PLUGINS),
        ):
            async with session.get(f"{daemon.url}/plugin/{name}") as answer:
                assert (answer.status, answer.content_type) == (200, kind)
                assert b"test-token" not in await answer.read()
            async with session.head(f"{daemon.url}/plugin/{name}") as answer:
                assert answer.status == 200
        for name in ("", "x", "../api/v1/status", "stash2plexd.py", "%2e%2e/token"):
            async with session.get(f"{daemon.url}/plugin/{name}") as answer:
                assert answer.status in {401, 404}


@pytest.fixture
async def told(stash, plex, tmp_path, capsys):
    """A running daemon, and what the command says to a Stash that can install."""
    settings = make_settings(stash, plex, tmp_path)
    stash.installer = packages.installer(tmp_path / "plugins")
    port = settings.server.port
    file = tmp_path / "config.toml"
    file.write_text(
        f'[server]\nhost = "127.0.0.1"\nport = {port}\ntoken = "test-token"\n'
        f'data_dir = "{settings.server.data_dir}"\n[stash]\nurl = "{stash.url}"\n'
    )

    async def tell(*words):
        given = ["--config", str(file), "install-plugin", *map(str, words)]
        status = await asyncio.to_thread(main, given)
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    async with running(settings, stash, plex) as daemon:
        tell.url = daemon.url
        tell.daemon = daemon
        yield tell


async def test_all_the_way_through_stash(told, stash, plex):
    stash.plugin_settings[PLUGIN_ID] = {"hidden": [1], "daemonToken": "old"}
    stash.plugin_settings["other"] = {"kept": True}
    before = list(stash.package_sources)
    status, out, err = await told(
        "--via-stash", "--daemon-url", f"{told.url}/", "--yes"
    )

    assert (status, err) == (0, "")
    assert "Done" in out
    assert stash.plugin_settings == {
        PLUGIN_ID: {
            "hidden": [1],
            "daemonUrl": told.url,
            "daemonToken": "test-token",
            "hooks": "in-process",
        },
        "other": {"kept": True},
    }
    url = f"{told.url}/plugin/index.yml"
    ours = {"name": "stash2plex", "url": url, "local_path": "stash2plex"}
    assert stash.package_sources == [*before, ours]
    assert set(stash.plugins) == {TASKS.id, IN_PROCESS_HOOKS.id}
    offered = versions_in(await asyncio.to_thread(index_text))
    assert f"  {TASKS.id} {offered[TASKS.id]}\n" in out
    assert f"  {IN_PROCESS_HOOKS.id} {offered[IN_PROCESS_HOOKS.id]}\n" in out
    assert "test-token" not in out
    # The proof of it touched no scene.
    found = await told.daemon.status()
    assert sum(found["deliveries"].values()) == 0
    assert found["queue"]["queued"] == found["queue"]["waiting"] == 0
    # And hooks come through it.
    stash.add("/media/1.mp4", scene_id=1, title="Old", details="x")
    plex.add("/media/1.mp4")
    await told.daemon.cataloged()
    await stash.facts.until(lambda: LOG in stash.subscriptions.listening)
    await stash.edit(1, title="New")
    await plex.facts.until(lambda: plex.items[1].text["title"] == "New")
    # Again: an update, from another address than before, of what was disabled.
    stash.plugins[TASKS.id].enabled = False
    status, _, _ = await told("--via-stash", "--yes")
    assert status == 0
    assert len(stash.package_sources) == len(before) + 1
    assert stash.plugins[TASKS.id].enabled


async def installed(told, *words):
    """Have them installed; returns what it printed."""
    status, out, err = await told(
        "--via-stash", "--daemon-url", told.url, "--yes", *words
    )
    assert (status, err) == (0, "")
    return out


async def test_one_kind_of_hooks_or_none(told, stash):
    for words, kept in (
        ((), [IN_PROCESS_HOOKS]),
        (("--hooks", "http"), [HTTP_HOOKS]),
        (("--hooks", "none"), []),
        (("--hooks", "in-process"), [IN_PROCESS_HOOKS]),
    ):
        out = await installed(told, *words)
        assert set(stash.plugins) == {one.id for one in (TASKS, *kept)}
        assert all(f"  {one.id} 0" in out for one in (TASKS, *kept))


async def test_hooks_of_an_older_installation_go(told, stash, tmp_path):
    """Those of a copied folder are disabled: nobody else may delete it."""
    stash.put_plugin(HTTP_HOOKS.folder)
    out = await installed(told)

    assert not stash.plugins[HTTP_HOOKS.id].enabled
    assert f"Disabled: {HTTP_HOOKS.id}, whose folder somebody copied there" in out
    assert f"  {HTTP_HOOKS.id} {__version__}, a copied folder, disabled" in out


async def test_a_stash_without_python_has_hooks_all_the_same(told, stash):
    """They need none; tasks do, and work once there is one."""
    stash.plugin_runs.python = None
    status, out, err = await told("--via-stash", "--yes", "--daemon-url", told.url)
    assert (status, "Done" in out) == (1, False)
    assert "install Python 3.9 or newer where Stash runs" in err
    assert f"  {IN_PROCESS_HOOKS.id} 0" in out
    assert set(stash.plugins) == {TASKS.id, IN_PROCESS_HOOKS.id}
    stash.plugin_runs.python = sys.executable
    await installed(told)


async def test_the_other_kind_goes_though_the_daemon_has_moved(told, stash):
    await installed(told, "--hooks", "http")
    elsewhere = told.url.replace("127.0.0.1", "localhost")
    status, _, err = await told("--via-stash", "--daemon-url", elsewhere, "--yes")

    assert (status, err) == (0, "")
    assert set(stash.plugins) == {TASKS.id, IN_PROCESS_HOOKS.id}


async def test_whoever_wants_no_hooks_is_not_told_that_there_are_none(told, stash):
    await installed(told, "--hooks", "none")
    status = await told.daemon.until(
        lambda status: status["stash"]["hooks"]["faults"] == []
    )
    assert status["stash"]["hooks"]["kinds"] == []


async def test_all_of_it_can_be_taken_away(told, stash):
    before = list(stash.package_sources)
    await installed(told)
    status, out, _ = await told("--via-stash", "--remove")
    assert (status, "nothing" in out) == (2, False)
    assert stash.plugins
    status, out, _ = await told("--via-stash", "--remove", "--yes")

    assert status == 0
    assert "Stash has none of our plugins now" in out
    assert stash.plugins == {}
    assert stash.package_sources == before
    assert stash.plugin_settings[PLUGIN_ID] == {}
    status, _, err = await told("--via-stash", "--remove", "--hooks", "http")
    assert status == 2
    assert "--remove takes all" in err


@pytest.mark.parametrize("had", [None, "0.0.1-abc"])
async def test_a_stash_that_cannot_install_says_that_it_is_done(told, stash, had):
    """Its folder is read-only, or the zip is another: its job is FINISHED all the same."""
    await installed(told)

    async def install(plugin_id, source):
        raise OSError("read-only file system")

    stash.installer = install
    if had is None:
        stash.plugins.clear()
    else:
        stash.plugins[TASKS.id].package_version = had
    status, out, err = await told("--via-stash", "--yes", "--daemon-url", told.url)

    assert status == 1
    assert "Done" not in out
    assert "may it write into its plugins folder?" in err
    assert (f"still has {had}" in err) == (had is not None)
    assert "read-only" in stash.log.page[0]["message"]


async def test_hooks_that_nothing_gets_through_to_hear(told, stash):
    """What told of changes before still does."""
    stash.subscriptions.refused = True
    for had in ([], [TASKS.id, HTTP_HOOKS.id]):
        status, out, err = await told("--via-stash", "--yes", "--daemon-url", told.url)
        assert status == 1
        assert "Done" not in out
        assert "no WebSocket gets through: HTTP 400" in err
        assert "--hooks http" in err
        assert sorted(stash.plugins) == had
        # And that is what mends it.
        await installed(told, "--hooks", "http")


async def test_the_hooks_of_an_old_plugin_stay_until_others_were_heard(
    told, stash, tmp_path
):
    """Its update takes them away, so it comes last."""
    old = unpack_plugin("0.1.0", tmp_path)
    source = f"{told.url}/plugin/index.yml"
    ours = {"name": "stash2plex", "url": source, "local_path": "stash2plex"}
    stash.package_sources.append(ours)
    stash.put_plugin(old, source).package_version = "0.1.0-old"
    install = stash.installer

    async def fail(plugin_id, source):
        if plugin_id == IN_PROCESS_HOOKS.id:
            raise OSError("read-only file system")
        return await install(plugin_id, source)

    stash.installer = fail
    status, _, err = await told("--via-stash", "--yes", "--daemon-url", told.url)
    assert status == 1
    assert "may it write into its plugins folder?" in err
    assert stash.plugins[TASKS.id].triggers
    stash.installer = install
    await installed(told)
    assert not stash.plugins[TASKS.id].triggers


async def test_a_daemon_of_another_release_offers_other_plugins(
    told, stash, monkeypatch
):
    monkeypatch.setattr("stash2plex.commands.install_plugin.__version__", "9.9.9")
    status, _, err = await told("--via-stash", "--yes")

    assert status == 1
    assert f"the daemon that runs is stash2plex {__version__}" in err
    assert stash.plugins == {}


async def test_nothing_is_changed_without_a_yes(told, stash):
    status, out, err = await told("--via-stash")

    assert status == 2
    assert "add the plugin source" in out
    assert "nothing was changed; --yes" in err
    assert stash.plugin_settings == {}
    assert len(stash.package_sources) == 1


@pytest.mark.parametrize("words", [[], ["--via-stash", "somewhere"]])
async def test_one_way_or_the_other(told, words):
    status, _, err = await told(*words)

    assert status == 2
    assert "--via-stash" in err


@pytest.mark.parametrize("address", ["127.0.1.1", "192.0.2.7", None])
async def test_the_name_of_the_service_only_where_it_means_us(
    told, monkeypatch, address
):
    """Not where it is another machine's, or one's own as /etc/hosts has it."""

    def resolve(name):
        assert name == "stash2plex"
        if address is None:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        return address

    monkeypatch.setattr(socket, "gethostbyname", resolve)
    _, out, _ = await told("--via-stash")

    assert f"add the plugin source {told.url}/plugin/index.yml" in out


async def test_the_name_of_the_service_on_a_network_of_containers(told, monkeypatch):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as towards:
        try:
            towards.connect(("192.0.2.7", 9))
        except OSError:
            pytest.skip("this machine has no address but 127.0.0.1")
        address = towards.getsockname()[0]
    monkeypatch.setattr(socket, "gethostbyname", lambda _: address)
    _, out, _ = await told("--via-stash")

    assert (
        f"add the plugin source http://stash2plex:{told.daemon.settings.server.port}/plugin/"
        in out
    )


async def test_a_stash_that_is_too_old(told, stash):
    stash.become("v0.24.3")
    status, _, err = await told("--via-stash", "--yes")
    assert status == 1
    assert "Stash v0.24.3 is too old; update Stash to v0.25 or later" in err
    assert stash.plugins == {}


async def test_never_a_second_folder_of_the_plugin(told, stash):
    stash.put_plugin(TASKS.folder)
    status, _, err = await told("--via-stash", "--yes", "--daemon-url", told.url)

    assert status == 1
    assert f"has {PLUGIN_ID} from folders that were copied there" in err
    assert "Reload plugins" in err
    # From a source that somebody added by hand, whose folder is another.
    theirs = {"name": "mine", "url": "http://10.9.9.9/index.yml", "local_path": "mine"}
    stash.package_sources.append(theirs)
    stash.plugins[PLUGIN_ID].source = theirs["url"]
    status, _, err = await told("--via-stash", "--yes", "--daemon-url", told.url)

    assert status == 1
    assert "its source 'mine', http://10.9.9.9/index.yml" in err
    assert stash.package_jobs == {}
    assert stash.package_sources[1:] == [theirs]
    # The same source by another name is no other folder.
    theirs["url"] = f"{told.url}/plugin/index.yml"
    stash.plugins[PLUGIN_ID].source = theirs["url"]
    status, out, _ = await told("--via-stash", "--yes", "--daemon-url", told.url)

    assert (status, "Done" in out) == (0, True)
    assert stash.package_sources[1:] == [theirs]


async def test_a_source_that_stash_does_not_reach(told, stash):
    status, _, err = await told(
        "--via-stash", "--yes", "--daemon-url", "http://127.0.0.1:1"
    )

    assert status == 1
    assert "does its machine or container reach that address" in err
    await asyncio.gather(*stash.package_jobs.values(), return_exceptions=True)


async def test_what_works_is_put_back_when_its_successor_does_not(told, stash):
    stash.plugin_settings[PLUGIN_ID] = {"other": 1}
    await told("--via-stash", "--yes", "--daemon-url", told.url)
    sources, settings = stash.package_sources, stash.plugin_settings[PLUGIN_ID]
    status, _, err = await told(
        "--via-stash", "--yes", "--daemon-url", "http://127.0.0.1:1"
    )

    assert status == 1
    assert "as they were" in err
    assert settings["daemonUrl"] == told.url
    assert stash.package_sources == sources
    assert stash.plugin_settings[PLUGIN_ID] == settings
    await asyncio.gather(*stash.package_jobs.values(), return_exceptions=True)


async def test_a_daemon_that_has_not_run(stash, tmp_path, capsys):
    file = tmp_path / "config.toml"
    file.write_text(f'[stash]\nurl = "{stash.url}"\n')
    given = ["--config", str(file), "install-plugin", "--via-stash", "--yes"]

    assert await asyncio.to_thread(main, given) == 1
    assert "start it with 'stash2plex run'" in capsys.readouterr().err
    file.write_text(
        f'[server]\nport = {free_port()}\ntoken = "test-token"\n'
        f'[stash]\nurl = "{stash.url}"\n'
    )
    assert await asyncio.to_thread(main, given) == 1
    assert "no daemon answers" in capsys.readouterr().err
    assert len(stash.package_sources) == 1


async def test_addresses_that_are_none_reach_stash_never(told, stash):
    status, _, err = await told("--via-stash", "--yes", "--daemon-url", "foo")

    assert status == 2
    assert "--daemon-url 'foo': must be a URL" in err
    assert len(stash.package_sources) == 1


async def test_a_stash_that_is_busy(told, stash, monkeypatch):
    monkeypatch.setattr("stash2plex.stash.plugins._PATIENCE", 0.1)
    scanning = asyncio.Event()

    async def install(plugin_id, source):
        await scanning.wait()

    stash.installer = install
    status, _, err = await told("--via-stash", "--yes")
    scanning.set()
    await asyncio.gather(*stash.package_jobs.values(), return_exceptions=True)

    assert status == 1
    assert "Stash is busy with other jobs" in err
