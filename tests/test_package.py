"""What is installed: the wheel alone, in a fresh environment, far from the source."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from stash2plex import __version__
from stash2plex.plugin import PLUGINS, Hooks, wanted
from tests.conftest import free_port
from tests.running import unmeasured

ROOT = Path(__file__).parents[1]
SHIMS = {
    f"stash2plex/plugin_shim/{one.id}/{name}" for one in PLUGINS for name in one.files
}
pytestmark = pytest.mark.timeout(300)


def run(*command, **more) -> str:
    done = subprocess.run(
        [str(one) for one in command],
        check=False,
        capture_output=True,
        text=True,
        env=unmeasured() | {"PYTHONDONTWRITEBYTECODE": "1"},
        **more,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "hatchling", "build", "-d", folder, cwd=ROOT)
    return folder


def test_the_wheel_holds_all_that_runs_and_nothing_else(built):
    (wheel,) = built.glob("*.whl")
    assert wheel.name == f"stash2plex-{__version__}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    source = {
        str(file.relative_to(ROOT))
        for file in (ROOT / "stash2plex").rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert source <= names
    assert names >= SHIMS
    assert "stash2plex/py.typed" in names
    assert any(name.endswith(".sql") for name in names)
    others = names - source - SHIMS
    assert all(".dist-info/" in name for name in others), others


def test_the_sdist_makes_the_same_wheel(built, tmp_path):
    (sdist,) = built.glob("*.tar.gz")
    # Python 3.11 knows filters only from its fourth release on.
    safely = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, **safely)  # noqa: S202 - we made it
    (folder,) = tmp_path.iterdir()
    for name in ("tests", "docs", "deploy", "plugin_shim", "config.example.toml"):
        assert (folder / name).exists()
    assert not list(folder.rglob("node_modules"))
    run(
        sys.executable,
        "-m",
        "hatchling",
        "build",
        "-t",
        "wheel",
        "-d",
        tmp_path / "w",
        cwd=folder,
    )

    def listed(file: Path) -> set[str]:
        with zipfile.ZipFile(file) as archive:
            return set(archive.namelist())

    (one,), (two,) = built.glob("*.whl"), (tmp_path / "w").glob("*.whl")
    assert listed(one) == listed(two)


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory) -> Path:
    """The commands' folder of an environment that has the wheel and nothing else."""
    folder = tmp_path_factory.mktemp("venv")
    run(sys.executable, "-m", "venv", folder)
    (wheel,) = built.glob("*.whl")
    quiet = ("-q", "--disable-pip-version-check")
    run(folder / "bin" / "python", "-m", "pip", "install", *quiet, wheel)
    return folder / "bin"


def test_the_demo_runs_from_the_wheel_alone(installed, tmp_path):
    out = run(
        installed / "stash2plex", "demo", "--once", "--port", free_port(), cwd=tmp_path
    )

    assert "Plex" in out
    assert run(installed / "stash2plex", "--version").strip() == __version__


def test_so_does_the_plugin(installed, tmp_path):
    plugins = tmp_path / "plugins"
    run(installed / "stash2plex", "install-plugin", plugins, cwd=tmp_path)

    found = {
        one.name: {file.name for file in one.iterdir()} for one in plugins.iterdir()
    }
    assert found == {one.id: set(one.files) for one in wanted(Hooks.IN_PROCESS)}
    out = run(
        installed / "python",
        "-m",
        "stash2plex.plugin_source",
        tmp_path / "d",
        cwd=tmp_path,
    )
    assert out == ""
    assert (tmp_path / "d" / "index.yml").exists()
