"""The HTTP face of the daemon: routes, errors as JSON, the token."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog
from aiohttp import web

from stash2plex import plugin_source
from stash2plex.body import json_body
from stash2plex.catalog.gaps import Gaps
from stash2plex.doctor import Finding
from stash2plex.errors import Stash2PlexError
from stash2plex.explain import Explainer
from stash2plex.health.outages import OutageLog
from stash2plex.logs import Secrets
from stash2plex.measures import Measures
from stash2plex.plugin import PLUGINS, Plugin
from stash2plex.provider.callers import Callers
from stash2plex.provider.routes import ProviderRoutes
from stash2plex.provider.service import Provider
from stash2plex.push.hooks import Hook, HookTaker
from stash2plex.push.preview import Preview
from stash2plex.push.recovery import Recovery
from stash2plex.push.sync import Syncer
from stash2plex.queue.store import JobStore
from stash2plex.reconcile.reconciler import Reconciler
from stash2plex.web import jobs
from stash2plex.web.auth import check_token
from stash2plex.web.connections import answering, trust
from stash2plex.web.explain import Question, explanation_shown, parse_question
from stash2plex.web.gaps import GapPage, parse_page, shown
from stash2plex.web.jobs import ChoiceRequest, DeadPage
from stash2plex.web.metrics import CONTENT_TYPE_LATEST, metrics_text
from stash2plex.web.openapi import Handler, Operation, describe
from stash2plex.web.outages import outage_report
from stash2plex.web.reconcile import ReconcileRequest, parse_reconcile
from stash2plex.web.status import Status
from stash2plex.web.sync import SyncRequest, differences, parse_sync
from stash2plex.web.validation import Page, parsed

log = structlog.get_logger()

# So many dead letters, jobs and gaps are in a bug report.
_SOME = 50
MAX_BODY = 1024 * 1024
_API = "/api/"
_EXPECTED = '; expected {"type": "Scene.Update.Post", "id": 45}'
_DIGITS = 18  # of the largest number that SQLite holds, less one


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the handlers work with."""

    token: str
    secrets: Secrets
    jobs: JobStore
    hooks: HookTaker
    measures: Measures
    wake: Callable[[], None]
    syncer: Syncer
    preview: Preview
    gaps: Gaps
    outages: OutageLog
    recovery: Recovery
    reconciler: Reconciler
    explainer: Explainer
    examine: Callable[[], AsyncIterator[Finding]]
    report: Callable[[], Awaitable[dict[str, Any]]]
    retention_days: float
    status: Status
    ready: Callable[[], bool]
    provider: Provider | None
    callers: Callers


PARTS = web.AppKey("parts", Parts)


def create_app(parts: Parts) -> web.Application:
    """Assemble the application from parts that are already running."""
    app = web.Application(
        middlewares=[answer_errors, demand_token], client_max_size=MAX_BODY
    )
    app.on_response_prepare.append(keep_type)
    app[PARTS] = parts
    app.add_routes(
        [
            web.get("/livez", live),
            web.get("/readyz", ready),
            web.get("/metrics", metrics),
            web.get(f"/plugin/{plugin_source.INDEX}", plugin_index),
            *(
                web.get(
                    f"/plugin/{plugin_source.zip_name(one)}", partial(plugin_zip, one)
                )
                for one in PLUGINS
            ),
            *(one.route() for one in OPERATIONS),
        ]
    )
    if parts.provider is not None:
        provider = ProviderRoutes(
            parts.provider,
            parts.measures.answered,
            parts.secrets.error,
            parts.callers,
        )
        app.add_routes(provider.routes())
    return app


async def keep_type(_: web.Request, response: web.StreamResponse) -> None:
    """Have browsers take an answer for what it says it is."""
    response.headers["X-Content-Type-Options"] = "nosniff"


async def live(_: web.Request) -> web.Response:
    """Say that the process lives."""
    return web.json_response({"status": "ok"})


async def ready(request: web.Request) -> web.Response:
    """Say whether hooks can be taken; Stash and Plex do not matter."""
    if request.app[PARTS].ready():
        return web.json_response({"status": "ok"})
    return _error(
        "not_ready", "the daemon is starting or its store is not writable", 503
    )


async def metrics(request: web.Request) -> web.Response:
    """Tell Prometheus how everything is; nothing private is in it."""
    parts = request.app[PARTS]
    parts.callers.refuse_pages(request)
    await parts.callers.refuse_others(request)
    status = await parts.status.read()
    return web.Response(
        body=metrics_text(status, parts.measures.registry),
        headers={"Content-Type": CONTENT_TYPE_LATEST},
    )


async def plugin_index(_: web.Request) -> web.Response:
    """Tell Stash which plugins there are to install: those of this release."""
    index = await asyncio.to_thread(plugin_source.index_text)
    return web.Response(text=index, content_type="application/yaml")


async def plugin_zip(plugin: Plugin, _: web.Request) -> web.Response:
    """Hand out a plugin; it holds no token."""
    zipped = await asyncio.to_thread(plugin_source.zip_bytes, plugin)
    return web.Response(body=zipped, content_type="application/zip")


async def receive_hook(request: web.Request) -> web.Response:
    """Make the change durable, wake the worker, answer; all in milliseconds."""
    parts = request.app[PARTS]
    hook = parsed(Hook, await json_body(request), _EXPECTED)
    outcome, reason = await parts.hooks.take(hook)
    return _accepted({"outcome": outcome, "reason": reason})


async def sync(request: web.Request) -> web.Response:
    """Enqueue the scenes asked for; answers when all of them are durable."""
    parts = request.app[PARTS]
    wanted = parse_sync(await json_body(request))
    if wanted.dry_run:
        return web.json_response(await differences(wanted, parts.syncer, parts.preview))
    if wanted.scene_ids is not None:
        enqueued = await parts.syncer.scenes(wanted.scene_ids)
    else:
        enqueued = await parts.syncer.all(wanted.hours)
    parts.wake()
    log.info("sync_requested", scope=wanted.scope, enqueued=enqueued)
    return _accepted({"enqueued": enqueued})


async def status(request: web.Request) -> web.Response:
    """Tell how everything is."""
    parts = request.app[PARTS]
    return web.json_response(await parts.status.read())


async def list_gaps(request: web.Request) -> web.Response:
    """List what is not in step, the newest first."""
    wanted = parse_page(request.query)
    found, total = await request.app[PARTS].gaps.listed(
        wanted.kind, wanted.limit, wanted.offset, resolved=wanted.resolved
    )
    return web.json_response({"total": total, "gaps": [shown(one) for one in found]})


async def list_outages(request: web.Request) -> web.Response:
    """List when the servers were away, the newest first."""
    return web.json_response(await outage_report(request.app[PARTS].outages))


async def list_dead(request: web.Request) -> web.Response:
    """List what was given up, the newest first."""
    page = jobs.parse_dead_page(request.query)
    found, total = await request.app[PARTS].jobs.dead(
        page.limit, page.offset, page.choice(time.time())
    )
    return web.json_response(
        {"total": total, "dead": [jobs.shown(one) for one in found]}
    )


async def retry_dead(request: web.Request) -> web.Response:
    """Try dead letters again."""
    parts = request.app[PARTS]
    wanted = jobs.parse_choice(await json_body(request, optional=True))
    retried = await parts.jobs.retry_dead(wanted.choice(time.time()))
    parts.wake()
    return web.json_response({"retried": retried})


async def clear_dead(request: web.Request) -> web.Response:
    """Forget dead letters."""
    wanted = jobs.parse_choice(await json_body(request, optional=True))
    cleared = await request.app[PARTS].jobs.clear_dead(wanted.choice(time.time()))
    return web.json_response({"cleared": cleared})


async def purge_dead(request: web.Request) -> web.Response:
    """Forget old dead letters."""
    parts = request.app[PARTS]
    wanted = jobs.parse_choice(await json_body(request, optional=True))
    if wanted.days is None:
        wanted = wanted.model_copy(update={"days": parts.retention_days})
    purged = await parts.jobs.clear_dead(wanted.choice(time.time()))
    return web.json_response({"purged": purged})


async def recover(request: web.Request) -> web.Response:
    """Try again what died of an outage."""
    parts = request.app[PARTS]
    wanted = jobs.parse_choice(await json_body(request, optional=True))
    done = await parts.recovery.run(wanted.codes or ())
    parts.wake()
    return web.json_response({"requeued": done.requeued, "gone": done.gone})


async def reconcile(request: web.Request) -> web.Response:
    """Have both libraries compared."""
    wanted = parse_reconcile(await json_body(request, optional=True))
    run = await request.app[PARTS].reconciler.request(
        wanted.scope,
        dry_run=wanted.dry_run,
        force=wanted.force,
        only_empty=wanted.only_empty,
    )
    return _accepted({"run": run.id})


async def show_run(request: web.Request) -> web.Response:
    """Tell how a comparison goes, or went."""
    number = request.match_info["run"]
    known = number.isascii() and number.isdecimal() and len(number) < _DIGITS
    run = await request.app[PARTS].reconciler.find(int(number)) if known else None
    if run is None:
        return _error("not_found", f"there is no run {number!r}", 404)
    return web.json_response(run.as_json())


async def health(request: web.Request) -> web.Response:
    """Look for what is wrong with the set-up, as ``stash2plex check`` does."""
    parts = request.app[PARTS]
    masked = parts.secrets.masked
    findings = [masked(one.as_json()) async for one in parts.examine()]
    well = all(one["level"] != "fail" for one in findings)
    return web.json_response({"ok": well, "findings": findings})


async def explain(request: web.Request) -> web.Response:
    """Say why a scene, an item or a path is, or is not, in step."""
    parts = request.app[PARTS]
    found = await parts.explainer.explain(parse_question(request.query).q)
    return web.json_response(explanation_shown(found))


async def support(request: web.Request) -> web.Response:
    """Tell what a bug report needs, with nothing private in it."""
    parts = request.app[PARTS]
    private = parts.secrets.private
    dead_letters, _ = await parts.jobs.dead(_SOME, 0)
    waiting, _ = await parts.jobs.waiting(_SOME, 0)
    open_gaps, _ = await parts.gaps.listed(None, _SOME, 0)
    found = await parts.report() | {
        "status": private(await parts.status.read()),
        "dead": [private(jobs.shown(one)) for one in dead_letters],
        "queue": [private(jobs.shown(one)) for one in waiting],
        "gaps": [private(shown(one)) for one in open_gaps],
        "outages": private(await outage_report(parts.outages)),
        "log": list(parts.secrets.recent),
    }
    return web.json_response(found)


async def list_queue(request: web.Request) -> web.Response:
    """List what runs, is queued or waits."""
    page = jobs.parse_page(request.query)
    found, total = await request.app[PARTS].jobs.waiting(page.limit, page.offset)
    return web.json_response(
        {"total": total, "jobs": [jobs.shown(one) for one in found]}
    )


async def process_queue(request: web.Request) -> web.Response:
    """Make everything that waits due now."""
    parts = request.app[PARTS]
    due = await parts.jobs.make_all_due()
    parts.wake()
    return web.json_response({"due": due})


async def clear_queue(request: web.Request) -> web.Response:
    """Drop what is queued or waits."""
    cleared = await request.app[PARTS].jobs.clear_waiting()
    return web.json_response({"cleared": cleared})


async def openapi(_: web.Request) -> web.Response:
    """Describe these routes for programs."""
    return web.json_response(describe(OPERATIONS))


OPERATIONS = (
    Operation("POST", "/api/v1/hooks", receive_hook, body=Hook, status=202),
    Operation(
        "POST",
        "/api/v1/sync",
        sync,
        body=SyncRequest,
        status=202,
        also={200: "what a dry run would change"},
    ),
    Operation("GET", "/api/v1/status", status),
    Operation("GET", "/api/v1/gaps", list_gaps, query=GapPage),
    Operation("GET", "/api/v1/outages", list_outages),
    Operation("GET", "/api/v1/dead", list_dead, query=DeadPage),
    Operation("POST", "/api/v1/dead/retry", retry_dead, body=ChoiceRequest),
    Operation("POST", "/api/v1/dead/clear", clear_dead, body=ChoiceRequest),
    Operation("POST", "/api/v1/dead/purge", purge_dead, body=ChoiceRequest),
    Operation("POST", "/api/v1/recover", recover, body=ChoiceRequest),
    Operation(
        "POST", "/api/v1/reconcile", reconcile, body=ReconcileRequest, status=202
    ),
    Operation(
        "GET",
        "/api/v1/reconcile/{run}",
        show_run,
        also={404: "there is no such run"},
    ),
    Operation("GET", "/api/v1/explain", explain, query=Question),
    Operation("GET", "/api/v1/health", health),
    Operation("GET", "/api/v1/support", support),
    Operation("GET", "/api/v1/queue", list_queue, query=Page),
    Operation("POST", "/api/v1/queue/process", process_queue),
    Operation("POST", "/api/v1/queue/clear", clear_queue),
    Operation("GET", "/api/v1/openapi.json", openapi),
)


@web.middleware
async def demand_token(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse whoever asks the API without the token, for unknown routes too."""
    if request.path.startswith(_API):
        check_token(request, request.app[PARTS].token)
        trust(request.transport)
    return await handler(request)


@web.middleware
async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn errors into JSON, ours and aiohttp's; a bug says nothing of itself."""
    secrets = request.app[PARTS].secrets
    # Who has the token may know what it is about.
    shown = secrets.mask if request.path.startswith(_API) else secrets.error
    try:
        with answering(request.transport):
            return await handler(request)
    except Stash2PlexError as error:
        log.warning(
            "request_failed",
            route=request.path,
            code=error.code,
            error=str(error),
        )
        return _error(error.code, shown(str(error)), error.http_status)
    except web.HTTPException as error:
        answer = _error(
            _code_of(error),
            f"{request.method} {request.path}: {error.reason}",
            error.status,
        )
        if "Allow" in error.headers:
            answer.headers["Allow"] = error.headers["Allow"]
        return answer
    except Exception:
        log.exception("request_crashed", route=request.path)
        return _error("internal", "a bug in stash2plex; its log tells more", 500)


def _code_of(error: web.HTTPException) -> str:
    """Return ``not_found`` for `HTTPNotFound`; Python's words for a status change."""
    name = type(error).__name__.removeprefix("HTTP")
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def _accepted(document: dict[str, Any]) -> web.Response:
    return web.json_response(document, status=202)


def _error(code: str, message: str, status: int) -> web.Response:
    return web.json_response({"code": code, "message": message}, status=status)
