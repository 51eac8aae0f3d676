"""The files of the Stash plugin, from the wheel or from a checkout."""

from __future__ import annotations

import shutil
from pathlib import Path

from stash2plex.errors import Stash2PlexError

PLUGIN_ID = "stash2plexd"
FILES = (
    f"{PLUGIN_ID}.yml",
    f"{PLUGIN_ID}.py",
    f"{PLUGIN_ID}_tasks.py",
    f"{PLUGIN_ID}_ui.js",
    f"{PLUGIN_ID}_asking.js",
    f"{PLUGIN_ID}_state.js",
    f"{PLUGIN_ID}_lists.js",
    f"{PLUGIN_ID}_page.js",
    f"{PLUGIN_ID}_scene.js",
    f"{PLUGIN_ID}.js",
    f"{PLUGIN_ID}.css",
)


class PluginNotInstalled(Stash2PlexError):
    """The plugin's files could not be put where they were wanted."""

    code = "plugin_not_installed"


def plugin_folder() -> Path:
    """Return the folder that holds the plugin's files."""
    package = Path(__file__).parent
    for folder in (package / "plugin_shim", package.parent / "plugin_shim"):
        if (folder / FILES[0]).is_file():
            return folder
    raise PluginNotInstalled(f"the plugin's files are missing beside {package}")


def install(plugins: Path) -> Path:
    """Put the plugin into Stash's plugins folder; returns its own folder there."""
    if not plugins.is_dir():
        raise PluginNotInstalled(
            f"{plugins} is not a folder; name Stash's plugins folder (see Settings >"
            " System > Plugins path in Stash)"
        )
    target = plugins / PLUGIN_ID
    try:
        target.mkdir(exist_ok=True)
        for old in target.glob(f"{PLUGIN_ID}*"):
            if old.name not in FILES and old.is_file():
                old.unlink()  # an older release's: Stash would load it too
        for name in FILES:
            copied = shutil.copyfile(plugin_folder() / name, target / name)
            copied.chmod(0o644)
        target.chmod(0o755)
    except OSError as error:
        raise PluginNotInstalled(f"{target}: {error.strerror}") from error
    return target
