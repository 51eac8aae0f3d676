"""The container, as far as it can be tried without an engine for containers."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import runpy
import shutil
import signal
import sys
import sysconfig
import tempfile
import tomllib
from contextlib import asynccontextmanager
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.conftest import free_port
from tests.patience import patient
from tests.running import until_ready

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
PACKAGES = Path(sysconfig.get_path("purelib"))
NOBODY = 54321
INSTRUCTIONS = set(
    "ARG LABEL FROM WORKDIR COPY RUN ENV VOLUME EXPOSE HEALTHCHECK ENTRYPOINT CMD".split()
)


def instructions():
    text = (DEPLOY / "Dockerfile").read_text()
    text = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ")
    return [line.split(None, 1) for line in text.splitlines() if line.strip()]


def test_the_recipe_is_one_and_what_it_copies_is_there():
    found = instructions()

    assert {name for name, _ in found} <= INSTRUCTIONS
    copied = [
        source
        for name, rest in found
        if name == "COPY" and "--from" not in rest
        for source in rest.split()[:-1]
    ]
    assert len(copied) > 5
    assert all((ROOT / source).exists() for source in copied)
    by_name = dict(found)
    assert by_name["ENTRYPOINT"] == '["/usr/local/bin/entrypoint"]'
    assert by_name["CMD"] == '["run"]'
    assert "ARG BASE=" in (DEPLOY / "Dockerfile").read_text()


def test_the_build_installs_what_the_wheel_needs():
    """Whatever pyproject.toml names is copied before pip reads it."""
    copied = " ".join(rest for name, rest in instructions() if name == "COPY")
    for needed in (
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "stash2plex",
        "plugin_shim",
    ):
        assert needed in copied


def test_the_services_fit_together():
    found = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    own = found["services"]["stash2plex"]

    assert set(found["services"]) == {"stash2plex", "stash", "plex"}
    # The daemon alone, unless the others are asked for.
    assert [n for n, one in found["services"].items() if "profiles" not in one] == [
        "stash2plex"
    ]
    assert f"-t {own['image']} " in (ROOT / "Makefile").read_text()
    recipe = DEPLOY / own["build"]["context"] / own["build"]["dockerfile"]
    assert recipe.resolve() == DEPLOY / "Dockerfile"
    for name, value in own["environment"].items():
        if name.endswith("_FILE"):
            secret = value.removeprefix("/run/secrets/")
            assert secret in own["secrets"]
            assert secret in found["secrets"]
    assert own["read_only"]
    targets = {one.partition(":")[2] for one in own["volumes"]}
    assert targets == {"/data", "/config"}


def test_two_builds_agree():
    """Each thing that is needed, and that it needs, has one version that fits."""
    pinned = dict(
        line.split("==")
        for line in (DEPLOY / "constraints.txt").read_text().splitlines()
        if not line.startswith("#")
    )
    pinned = {canonicalize_name(name): version for name, version in pinned.items()}
    todo = [Requirement(one) for one in needed()]
    seen = set()
    while todo:
        one = todo.pop()
        name = canonicalize_name(one.name)
        assert name in pinned, name
        assert one.specifier.contains(pinned[name], prereleases=True) or name in seen
        if (name, *one.extras) not in seen:
            seen |= {(name, *one.extras), name}
            with contextlib.suppress(metadata.PackageNotFoundError):
                for text in metadata.requires(one.name) or []:
                    other = Requirement(text)
                    extras = one.extras or {""}
                    if other.marker is None or any(
                        other.marker.evaluate({"extra": extra}) for extra in extras
                    ):
                        todo.append(other)


def needed():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return [*project["project"]["dependencies"], *project["build-system"]["requires"]]


def test_the_image_has_what_is_needed_and_no_more():
    text = (DEPLOY / "Dockerfile").read_text()

    assert "venv --without-pip" in text
    assert text.index("install -r needed.txt") < text.index("COPY stash2plex")
    assert 'image.version="${VERSION}"' in text
    assert "PIP_CONSTRAINT=" in text
    assert "!deploy/constraints.txt" in (ROOT / ".dockerignore").read_text()


def test_its_environment_is_a_configuration():
    from stash2plex.config_file import load

    own = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"][
        "stash2plex"
    ]
    given = {
        name: value
        for name, value in own["environment"].items()
        if name.startswith("STASH2PLEX_") and not name.endswith("_FILE")
    }
    settings = load(None, given)

    assert settings.stash.url == "http://stash:9999"


# --- the entry script -----------------------------------------------------------------


def python_for_others() -> str:
    """Return a Python that any user may start, with the version of this one."""
    for one in (
        os.path.realpath(sys.executable),
        shutil.which("python3", path="/usr/bin"),
    ):
        if one is None:
            continue
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        if others_reach(Path(one)) and version in os.path.realpath(one):
            return one
    pytest.skip("no Python of this version that other users may start")
    return ""


def others_reach(path: Path) -> bool:
    return all(one.stat().st_mode & 0o001 for one in path.resolve().parents)


@pytest.fixture(scope="module")
def sources():
    """The code and the libraries, where other users may read them."""
    if others_reach(DEPLOY) and others_reach(PACKAGES / "aiohttp"):
        yield ROOT, PACKAGES
        return
    folder = Path(tempfile.mkdtemp())  # this checkout is in a home, root's perhaps
    folder.chmod(0o755)
    for name in ("stash2plex", "plugin_shim", "deploy"):
        shutil.copytree(ROOT / name, folder / name)
    ours = shutil.ignore_patterns("mypy*", "*pytest*", "hypothesis*", "__editable__*")
    shutil.copytree(PACKAGES, folder / "packages", ignore=ours)
    yield folder, folder / "packages"
    shutil.rmtree(folder)


@pytest.fixture
def room(sources):
    """A clean folder that belongs to nobody in particular."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    shutil.copy(sources[0] / "deploy" / "entrypoint.py", folder / "entrypoint.py")
    bin_folder = folder / "bin"
    bin_folder.mkdir()
    command = bin_folder / "stash2plex"
    command.write_text(f'#!/bin/sh\nexec {python_for_others()} -m stash2plex "$@"\n')
    command.chmod(0o755)
    (folder / "data").mkdir()
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def environment(room, sources, stash, plex):
    """Nothing but the environment: no configuration file."""
    return {
        "PATH": f"{room / 'bin'}:/usr/bin:/bin",
        "PYTHONPATH": ":".join(map(str, sources)),
        "PYTHONDONTWRITEBYTECODE": "1",
        "STASH2PLEX_SERVER__HOST": "127.0.0.1",
        "STASH2PLEX_SERVER__PORT": str(free_port()),
        "STASH2PLEX_SERVER__DATA_DIR": str(room / "data"),
        "STASH2PLEX_STASH__URL": stash.url,
        "STASH2PLEX_PLEX__URL": plex.url,
        "STASH2PLEX_PLEX__TOKEN": plex.token,
    }


@asynccontextmanager
async def started(room, environment, *words, user=None):
    process = await asyncio.create_subprocess_exec(
        python_for_others(),
        str(room / "entrypoint.py"),
        *words,
        cwd=room,
        env=environment,
        user=user,
        group=user,
        extra_groups=None if user is None else [],
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def said(room, environment, *words, user=None):
    async with started(room, environment, *words, user=user) as process:
        out, _ = await process.communicate()
    return process.returncode, out.decode()


async def ready(process, environment):
    async def alive():
        if process.returncode is not None:
            pytest.fail((await process.stdout.read()).decode())

    port = environment["STASH2PLEX_SERVER__PORT"]
    await until_ready(f"http://127.0.0.1:{port}", alive)


needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root may be others")


@needs_root
@pytest.mark.parametrize("how", ["--user", "PUID"])
async def test_the_environment_alone_starts_it_as_another_user(room, environment, how):
    if how == "--user":
        os.chown(room / "data", NOBODY, NOBODY)
        user = NOBODY
    else:
        environment |= {"PUID": str(NOBODY), "PGID": str(NOBODY)}
        (room / "data" / "left-by-root").write_text("")
        outside = room / "outside"
        outside.write_text("root's own")
        (room / "data" / "link").symlink_to(outside)
        (room / "data" / "dangling").symlink_to(room / "nowhere")
        (room / "config").mkdir()
        (room / "config" / "config.toml").write_text("")
        environment |= {"STASH2PLEX_CONFIG": str(room / "config" / "config.toml")}
        user = None
    async with started(room, environment, user=user) as process:
        await ready(process, environment)
        proxied = environment | {"http_proxy": "http://127.0.0.1:1"}
        assert await said(room, proxied, "healthcheck", user=NOBODY) == (0, "")
        process.send_signal(signal.SIGHUP)  # is passed on, and not the end
        process.send_signal(signal.SIGTERM)
        out, _ = await process.communicate()

    assert process.returncode == 0, out.decode()
    assert b"configuration_unchanged" in out
    assert b"daemon_stopping" in out
    files = [one for one in (room / "data").iterdir() if not one.is_symlink()]
    assert {file.stat().st_uid for file in files} == {NOBODY}
    if how == "PUID":  # so that `init` can write there
        assert (room / "config").stat().st_uid == NOBODY
        assert outside.stat().st_uid == 0
    status, text = await said(room, environment, "healthcheck")
    assert status == 1
    assert text.startswith("not ready: ")


@needs_root
async def test_a_place_for_data_that_cannot_be_written(room, environment):
    status, text = await said(room, environment, user=NOBODY)

    assert status == 1
    assert text == (
        f"stash2plex: {room / 'data'} cannot be written by {NOBODY}:{NOBODY}; mount a"
        " folder there that belongs to it, or set PUID and PGID\n"
    )


@needs_root
@pytest.mark.parametrize("given", ["me", "4294967295", "9" * 5000, "-1", "\u0663"])
async def test_a_number_that_is_none(room, environment, given):
    status, text = await said(room, environment | {"PUID": given})

    assert status == 1
    assert text.startswith(f"stash2plex: PUID = {given!r} must be the number of a user")


@needs_root
async def test_a_command_that_cannot_be_started(room, environment):
    status, text = await said(room, environment | {"PATH": "/nowhere"})

    assert status == 1
    assert text.endswith("stash2plex cannot be started: No such file or directory\n")


@pytest.mark.parametrize(
    ("host", "asked"),
    [("::", "127.0.0.1"), ("192.0.2.7", "192.0.2.7"), ("::1", "[::1]")],
)
def test_health_is_asked_for_where_it_listens(room, monkeypatch, host, asked):
    entrypoint = runpy.run_path(str(room / "entrypoint.py"))
    file = room / "config.toml"
    file.write_text(f'[server]\nhost = "{host}"\n')
    monkeypatch.setenv("STASH2PLEX_CONFIG", str(file))

    assert entrypoint["host"]() == asked


async def test_other_commands_and_a_configuration_file(room, environment):
    file = room / "config.toml"
    file.write_text("[server]\nport = 12345\n")
    environment |= {
        "STASH2PLEX_CONFIG": str(file),
        "STASH2PLEX_SERVER__TOKEN": "some-token",
        "PUID": "0",
    }
    del environment["STASH2PLEX_SERVER__PORT"]

    assert (await said(room, environment, "--version"))[0] == 0
    status, text = await said(room, environment, "paths", "test", "/x")
    assert (status, "Stash to Plex: /x" in text) == (0, True)
    status, text = await said(room, environment, "status")
    assert "12345" in text
    status, text = await said(room, environment, "healthcheck")
    assert status == 1


@pytest.fixture
async def impatient(room, environment):
    """A daemon whose entry point waits for a second where it would for minutes."""
    file = room / "entrypoint.py"
    text = file.read_text()
    for slow, quick in (
        ("SILENCE, LAST_WORDS = 120.0, 10.0", "SILENCE, LAST_WORDS = 1.0, 0.5"),
        ("GLANCE = 10.0", "GLANCE = 0.1"),
    ):
        assert slow in text
        text = text.replace(slow, quick)
    file.write_text(text)
    environment |= {"PUID": str(NOBODY), "PGID": str(NOBODY)}
    async with started(room, environment) as process:
        await ready(process, environment)
        yield process


def children_of(process):
    return Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().strip()


def child_of(process):
    (child,) = children_of(process).split()
    return int(child)


@needs_root
async def test_a_container_that_was_paused_was_not_silent(impatient, environment):
    """Time goes on while nothing of it runs, as in a machine that sleeps."""
    both = (impatient.pid, child_of(impatient))
    for one in both:
        os.kill(one, signal.SIGSTOP)
    await asyncio.sleep(2)  # longer than it may be silent
    for one in both:
        os.kill(one, signal.SIGCONT)
    await ready(impatient, environment)
    impatient.terminate()
    out, _ = await impatient.communicate()

    assert impatient.returncode == 0
    assert b"silent for" not in out


@needs_root
async def test_a_daemon_that_falls_silent_is_ended(impatient):
    """As systemd would; Docker starts again what ended, not what is unhealthy."""
    os.kill(child_of(impatient), signal.SIGSTOP)
    async with asyncio.timeout(patient(20)):
        out, _ = await impatient.communicate()

    assert impatient.returncode == 128 + signal.SIGKILL
    assert b"silent for 1 s; it is ended" in out


@needs_root
async def test_a_container_without_capabilities_says_what_it_needs(room, environment):
    """As with cap_drop: [ALL]."""
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        pytest.skip("no setpriv")
    os.chown(room / "data", 0, 0)
    environment |= {"PUID": str(NOBODY), "PGID": str(NOBODY)}
    process = await asyncio.create_subprocess_exec(
        setpriv,
        "--bounding-set=-all",
        "--inh-caps=-all",
        python_for_others(),
        str(room / "entrypoint.py"),
        cwd=room,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate()

    assert process.returncode == 1
    assert b"that takes the capabilities CHOWN and DAC_OVERRIDE" in out
    assert f"--user {NOBODY}:{NOBODY}".encode() in out


@needs_root
async def test_init_where_nothing_can_be_written(room, environment):
    folder = room / "config"
    folder.mkdir()
    environment |= {"STASH2PLEX_CONFIG": str(folder / "config.toml")}
    status, text = await said(room, environment, "init", user=NOBODY)

    assert status == 1
    assert text == (
        f"stash2plex: {folder} cannot be written by {NOBODY}:{NOBODY}; mount a folder"
        " there that is writable for it: the one of PUID and PGID, or of --user\n"
    )


@pytest.mark.parametrize(
    ("text", "variables"),
    [
        (b"\xef\xbb\xbf[server]\nport = 18123\n", {}),
        (b"[server]\nport = 18123\n", {"STASH2PLEX_SERVER__PORT": " "}),
    ],
)
def test_the_port_is_read_as_the_daemon_reads_it(room, monkeypatch, text, variables):
    entrypoint = runpy.run_path(str(room / "entrypoint.py"))
    file = room / "config.toml"
    file.write_bytes(text)
    for name, value in {"STASH2PLEX_CONFIG": str(file), **variables}.items():
        monkeypatch.setenv(name, value)

    assert entrypoint["server"]("port", "9898") == "18123"


async def test_a_signal_at_the_end_takes_no_exit_status_away(room, environment):
    """The command may have ended, and not been looked after yet."""
    command = room / "bin" / "stash2plex"
    command.write_text("#!/bin/sh\nread line < go\nexit 7\n")
    os.mkfifo(room / "go")
    async with started(room, environment | {"PUID": "0"}, "paths") as process:
        async with asyncio.timeout(patient(10)):
            while not (child := children_of(process)):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            os.kill(process.pid, signal.SIGSTOP)
            (room / "go").write_text("on\n")
            while Path(f"/proc/{child}/stat").read_text().split()[2] != "Z":  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        os.kill(process.pid, signal.SIGTERM)
        os.kill(process.pid, signal.SIGCONT)
        assert await process.wait() == 7


@needs_root
async def test_init_may_write_elsewhere(room, environment):
    """Where the folder of the default configuration cannot be written."""
    environment |= {"STASH2PLEX_CONFIG": "/proc/nothing/config.toml"}
    os.chown(room / "data", NOBODY, NOBODY)
    file = room / "data" / "config.toml"
    status, text = await said(
        room, environment, "--config", str(file), "init", "--help", user=NOBODY
    )
    assert (status, "usage:" in text) == (0, True)
    status, text = await said(
        room, environment, "--config", str(file), "init", user=NOBODY
    )

    assert status == 0, text
    assert file.exists()
