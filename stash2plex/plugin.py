"""The Stash plugins: their files, from the wheel or from a checkout."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from stash2plex.errors import Stash2PlexError


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugin:
    """A plugin of Stash's; *id* names its folder, and its manifest."""

    id: str
    name: str
    description: str
    files: tuple[str, ...]

    @property
    def folder(self) -> Path:
        """The folder that holds its files."""
        package = Path(__file__).parent
        for shims in (package / "plugin_shim", package.parent / "plugin_shim"):
            if (shims / self.id / f"{self.id}.yml").is_file():
                return shims / self.id
        raise PluginNotInstalled(f"the plugin's files are missing beside {package}")


PLUGIN_ID = "stash2plexd"
TASKS = Plugin(
    id=PLUGIN_ID,
    name="Stash to Plex (daemon)",
    description="Tasks and a page of the stash2plex daemon",
    files=(
        f"{PLUGIN_ID}.yml",
        f"{PLUGIN_ID}.py",
        f"{PLUGIN_ID}_daemon.py",
        f"{PLUGIN_ID}_tasks.py",
        f"{PLUGIN_ID}_ui.js",
        f"{PLUGIN_ID}_asking.js",
        f"{PLUGIN_ID}_update.js",
        f"{PLUGIN_ID}_state.js",
        f"{PLUGIN_ID}_lists.js",
        f"{PLUGIN_ID}_page.js",
        f"{PLUGIN_ID}_scene.js",
        f"{PLUGIN_ID}.js",
        f"{PLUGIN_ID}.css",
    ),
)
IN_PROCESS_HOOKS = Plugin(
    id="stash2plexd_hooks",
    name="Stash to Plex hooks",
    description="Tells the stash2plex daemon what changed, by a line of Stash's log",
    files=("stash2plexd_hooks.yml", "stash2plexd_hooks.js"),
)
HTTP_HOOKS = Plugin(
    id="stash2plexd_http_hooks",
    name="Stash to Plex hooks (HTTP)",
    description="Tells the stash2plex daemon what changed, over HTTP",
    files=("stash2plexd_http_hooks.yml", "stash2plexd_http_hooks.py"),
)
PLUGINS = (TASKS, IN_PROCESS_HOOKS, HTTP_HOOKS)


class Hooks(StrEnum):
    """How changes are told of."""

    IN_PROCESS = "in-process"
    HTTP = "http"
    NONE = "none"


HOOK_PLUGINS: Mapping[Hooks, Plugin] = {
    Hooks.IN_PROCESS: IN_PROCESS_HOOKS,
    Hooks.HTTP: HTTP_HOOKS,
}


class PluginNotInstalled(Stash2PlexError):
    """The plugins' files could not be put where they were wanted."""

    code = "plugin_not_installed"


def wanted(hooks: Hooks) -> list[Plugin]:
    """Return the plugins that belong there with such hooks."""
    return [TASKS, *([HOOK_PLUGINS[hooks]] if hooks in HOOK_PLUGINS else [])]


def install(plugins: Path, hooks: Hooks = Hooks.IN_PROCESS) -> list[Path]:
    """Put the plugins into Stash's plugins folder, made if it is not there.

    Those that do not belong there with such *hooks* are taken away. Returns the
    folders of those that do. Raises `PluginNotInstalled`, before anything is done, when
    one is in another folder as well, and afterwards when something cannot be written.
    """
    belong = wanted(hooks)
    refuse_others(plugins)
    remove(plugins, [one for one in PLUGINS if one not in belong])
    return [_copied(one, plugins / one.id) for one in belong]


def remove(plugins: Path, which: list[Plugin]) -> list[Path]:
    """Take plugins out of Stash's plugins folder; returns the folders that were there.

    What others put beside our files stays, and so do plugins that Stash installed.
    """
    gone = []
    for plugin in which:
        folder = plugins / plugin.id
        if not (folder / f"{plugin.id}.yml").is_file():
            continue
        try:
            _clear(plugin, folder)
            shutil.rmtree(folder / "__pycache__", ignore_errors=True)
            if not any(folder.iterdir()):
                folder.rmdir()
        except OSError as error:
            raise PluginNotInstalled(f"{folder}: {error.strerror}") from error
        gone.append(folder)
    return gone


def refuse_others(plugins: Path) -> None:
    """Raise `PluginNotInstalled` when Stash installed one of ours below a folder.

    It would run one of the two, and nobody knows which.
    """
    for plugin in PLUGINS:
        for manifest in plugins.rglob(f"{plugin.id}.yml"):
            if manifest.parent != plugins / plugin.id:
                raise PluginNotInstalled(
                    f"Stash has {plugin.id} already, in {manifest.parent}: uninstall it"
                    " in Stash (Settings > Plugins), or delete that folder"
                )


def _copied(plugin: Plugin, target: Path) -> Path:
    try:
        target.mkdir(parents=True, exist_ok=True)
        _clear(plugin, target, but=plugin.files)
        for name in plugin.files:
            copied = shutil.copyfile(plugin.folder / name, target / name)
            copied.chmod(0o644)
        target.chmod(0o755)
    except OSError as error:
        raise PluginNotInstalled(f"{target}: {error.strerror}") from error
    return target


def _clear(plugin: Plugin, folder: Path, but: tuple[str, ...] = ()) -> None:
    """Delete the files of a plugin, an older release's too: Stash would load them."""
    for file in folder.glob(f"{plugin.id}*"):
        if file.name not in but and file.is_file():
            file.unlink()
