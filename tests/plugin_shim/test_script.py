"""The script of the hooks, in an engine as old as the oldest that Stash had (ES5)."""

from __future__ import annotations

import json
from typing import Any

import dukpy
import pytest

from stash2plex.plugin import IN_PROCESS_HOOKS
from stash2plex.sandbox.hook_script import line_of
from stash2plex.stash.hook_lines import said_in
from tests.stash import replay

SCRIPT = (IN_PROCESS_HOOKS.folder / f"{IN_PROCESS_HOOKS.id}.js").read_text()
# What Stash hands over is no plain object: written out whole it has other names in old
# releases, and its input may hold a cover of megabytes.
ENGINE = """
var lines = [];
var log = { Trace: function (text) { lines.push(text); } };
var input = { Args: dukpy.args };
var hook = input.Args.hookContext;
if (hook) {
  hook.toJSON = function () { throw new Error("written out whole"); };
  if (hook.input) {
    Object.defineProperty(hook.input, "cover_image", {
      enumerable: true,
      get: function () { throw new Error("the cover was read"); }
    });
  }
}
var result = eval(dukpy.script);
({ lines: lines, result: result });
"""


def lines_of(args: dict[str, Any]) -> list[str]:
    found = dukpy.evaljs(ENGINE, args=args, script=SCRIPT)
    assert found["result"] == {"Output": "ok"}
    return found["lines"]


HOOKS = [one["args"] for one in replay.records("hooks-snapshot.jsonl")]


@pytest.mark.parametrize(
    "args",
    [
        *HOOKS,
        {},
        {"nonce": "0123"},
        {
            "hookContext": {
                "type": "Scene.Destroy.Post",
                "id": 7,
                "input": {"path": '/é "x" \\ 😀.mp4', "oshash": None},
            }
        },
        {"hookContext": {"type": "Tag.Update.Post", "id": 3, "inputFields": ["id"]}},
    ],
    ids=lambda args: (args.get("hookContext") or {}).get("type", "none"),
)
def test_one_line_as_the_pretend_stash_has_it(args):
    (line,) = lines_of(args)
    mark, _, said = line.partition(" {")

    assert mark == "stash2plexd 1"
    assert line_of(args).startswith("stash2plexd 1 {")
    assert json.loads("{" + said) == json.loads(line_of(args).partition(" 1 ")[2])
    assert len(line) < 8000


def test_every_kind_of_hook_that_matters_was_tried():
    types = {one["hookContext"]["type"] for one in HOOKS if "hookContext" in one}
    assert {"Scene.Update.Post", "Scene.Destroy.Post", "Tag.Merge.Post"} <= types


def test_what_it_says_is_what_is_heard():
    (line,) = lines_of({"nonce": "abc"})
    message = json.dumps(f"[Plugin / {IN_PROCESS_HOOKS.name}] {line}")
    frame = f'{{"payload":{{"data":{{"loggingSubscribe":[{{"message":{message}}}]}}}}}}'

    assert list(said_in(frame, "v0.30.1")) == [
        {"type": "Plugin.Ping.Post", "id": 1, "nonce": "abc"}
    ]
