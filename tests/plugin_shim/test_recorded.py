"""Every hook that a real Stash was seen to run, through the shim to the daemon."""

from __future__ import annotations

from stash2plex.plugin import HTTP_HOOKS, PLUGIN_ID
from tests.stash import replay


async def test_every_recorded_hook_is_taken(daemon, stash, plex):
    await daemon.cataloged()
    stash.put_plugin(HTTP_HOOKS.folder)
    stash.plugin_settings[PLUGIN_ID] = {
        "daemonUrl": daemon.url,
        "daemonToken": "test-token",
    }
    for record in replay.records("hooks-snapshot.jsonl"):
        result = await stash.run_plugin(HTTP_HOOKS.id, record["args"])
        assert (result.error, result.output) == (None, "ok"), record["name"]
    assert stash.plugin_log == []
    await daemon.idle()
