"""The answer of ``GET /api/v1/explain``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

from stash2plex.catalog.candidates import Candidate
from stash2plex.errors import Stash2PlexError
from stash2plex.explain import Explanation, ItemStory, MappedFile, SceneStory, Verdict
from stash2plex.moments import iso
from stash2plex.push.ledger import Entry
from stash2plex.web import gaps, jobs
from stash2plex.web.sync import shown_difference
from stash2plex.web.validation import parsed


class Question(BaseModel):
    """What is to be explained: ``scene:7``, ``plex:42`` or a path."""

    model_config = ConfigDict(extra="forbid")

    q: str


def parse_question(query: Mapping[str, str]) -> Question:
    """Read the query; raises `InvalidRequest` saying what is wrong."""
    return parsed(Question, dict(query), "; give scene:ID, plex:RATINGKEY or a path")


def explanation_shown(explanation: Explanation) -> dict[str, Any]:
    """Return an explanation as people and programs read it; see the HTTP API."""
    paths = explanation.paths
    return {
        "query": explanation.query,
        "kind": explanation.kind,
        "verdict": _verdict(explanation.verdict),
        "scenes": [_scene(one) for one in explanation.scenes],
        "items": [_item(one) for one in explanation.items],
        "paths": paths
        and {
            "as_stash_path": _file(paths[0]),
            "as_plex_path": _file(paths[1]),
        },
        "machine": explanation.machine,
    }


def _verdict(verdict: Verdict) -> dict[str, str]:
    return {"state": verdict.state.value, "message": verdict.message}


def _scene(story: SceneStory) -> dict[str, Any]:
    differences = story.differences
    return {
        "scene": story.scene_id,
        "verdict": _verdict(story.verdict),
        "title": story.title,
        "exists": story.exists,
        "updated_at": story.updated_at or None,
        "files": [_file(one) | {"items": list(one.twins)} for one in story.files],
        "gate": story.gate,
        "candidates": [_candidate(one) for one in story.candidates],
        "match": _match(story),
        "job": story.queued and jobs.shown(story.queued),
        "dead": story.dead and jobs.shown(story.dead),
        "gaps": [gaps.shown(one) for one in story.gaps],
        "deliveries": [_delivery(one) for one in story.deliveries],
        "differences": None
        if differences is None
        else [shown_difference(one) for one in differences],
        "notes": list(story.notes),
    }


def _match(story: SceneStory) -> dict[str, Any]:
    answer = story.answer
    if isinstance(answer, Stash2PlexError):
        none: dict[str, Any] = {"items": [], "how": None, "confidence": None}
        return none | {"error": str(answer)}
    return {
        "items": [one.rating_key for one in answer],
        "how": answer[0].how if answer else None,
        "confidence": answer[0].confidence.value if answer else None,
        "error": None,
    }


def _candidate(candidate: Candidate) -> dict[str, Any]:
    return {
        "item": candidate.rating_key,
        "file": candidate.file,
        "size": candidate.size,
        "how": candidate.how,
        "score": candidate.score,
        "chosen": candidate.chosen,
        "reason": candidate.reason,
    }


def _delivery(entry: Entry) -> dict[str, Any]:
    return {
        "item": entry.rating_key,
        "file": entry.file,
        "delivered_at": iso(entry.delivered_at),
        "scene_updated_at": entry.scene_updated_at or None,
        "confidence": entry.confidence.value,
        "text": dict(entry.text),
        "tags": {name: list(tags.ours) for name, tags in entry.tags.items()},
        "locked": sorted(entry.locked),
        "pictures": sorted(name for name, one in entry.pictures.items() if one.hash),
    }


def _item(story: ItemStory) -> dict[str, Any]:
    return {
        "item": story.rating_key,
        "section": story.section,
        "files": [_file(one) | {"scenes": list(one.twins)} for one in story.files],
        "bound": story.bound,
        "scenes": list(story.scenes),
        "gaps": [gaps.shown(one) for one in story.gaps],
    }


def _file(file: MappedFile) -> dict[str, Any]:
    return {
        "path": file.path,
        "size": file.size,
        "mapped": file.mapped,
        "rule": file.rule or None,
        "reason": file.reason,
    }
