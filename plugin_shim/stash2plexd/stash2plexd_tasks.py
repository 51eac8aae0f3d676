"""What the tasks of the plugin do, and what they say in Stash's log.

Each takes *ask* (method, path, body, seconds), the *args* of the task or operation,
and *say* (level, text), and returns the daemon's answer. A task follows what it started
for as long as its manifest says, and shows how far that is: meanwhile other jobs of
Stash wait. An operation of the page in Stash does not wait.
"""

import time

MAX_ROWS = 20
# Of what a task may write, one line is the first in what Stash shows.
MOST_FINDINGS = 26
POLL_SECONDS = 1.0
# How long enqueuing a whole library may take, seconds.
LONG = 600.0
SCOPES = ("all", "24h", "7d")
GOES_ON = "the daemon goes on by itself; Show Status tells how far it is"


def counted(number, thing):
    return "%d %s%s" % (number, thing, "" if number == 1 else "s")


def report(say, headline, rows, level="i"):
    """Say a headline and what is below it: backwards, as Stash shows the newest first.

    Rows are texts, or (level, text).
    """
    for row in reversed(rows):
        say(*(row if isinstance(row, tuple) else ("i", row)))
    say(level, headline)


# --- status -------------------------------------------------------------------


def status(ask, args, say):
    answer = ask("GET", "/api/v1/status")
    if "version" not in answer:
        raise KeyError("version")  # whoever has none is not the daemon
    headline, *rows = status_lines(answer)
    report(say, headline, rows)
    return answer


def status_lines(status):
    """Say in a few lines what the status document says."""
    queue, done = status.get("queue") or {}, status.get("deliveries") or {}
    plex, stash = status.get("plex") or {}, status.get("stash") or {}
    catalog, gaps = status.get("catalog") or {}, status.get("gaps") or {}
    hooks = stash.get("hooks") or {}
    lines = [
        "stash2plex %s, up since %s"
        % (status.get("version"), status.get("started_at")),
        "Plex: %s (circuit %s), version %s, libraries: %s"
        % (
            plex.get("state"),
            plex.get("breaker"),
            plex.get("version") or "unknown",
            ", ".join(plex.get("libraries") or []) or "not read yet",
        ),
        "Stash: %s, version %s"
        % (stash.get("state"), stash.get("version") or "unknown"),
        "Hooks: %s, last change told of: %s"
        % (
            " and ".join(hooks.get("kinds") or []) or "none known",
            hooks.get("last_at") or "never",
        ),
        "Queue: %s due, %s waiting, %s running, %s dead"
        % tuple(
            queue.get(name, 0) for name in ("queued", "waiting", "running", "dead")
        ),
        "Deliveries since start: %s written, %s unchanged, %s skipped, %s failed"
        % tuple(
            done.get(name, 0) for name in ("written", "unchanged", "skipped", "failed")
        ),
        "Catalogue: %s scenes, %s items, read %s"
        % (
            catalog.get("scenes", 0),
            catalog.get("items", 0),
            catalog.get("refreshed_at") or "not yet",
        ),
    ]
    found = ["%s %s" % (count, kind) for kind, count in sorted(gaps.items()) if count]
    lines.append("Gaps: %s" % (", ".join(found) or "none"))
    compared = status.get("reconcile") or {}
    last = compared.get("last")
    if last:
        lines.append("Compared: %s, %s" % (last.get("finished_at"), last.get("state")))
    if catalog.get("brake"):
        lines.append("Stopped: %s" % catalog["brake"])
    for name, part in (("Plex", plex), ("Stash", stash)):
        if part.get("error"):
            lines.append("%s: %s" % (name, part["error"]))
    faults = hooks.get("faults") or []
    return lines + ["Hooks: %(message)s -> %(fix)s" % one for one in faults]


def health(ask, args, say):
    answer = ask("GET", "/api/v1/health", None, LONG)
    findings = answer.get("findings") or []
    worst_first = sorted(findings, key=lambda one: LEVELS.get(one.get("level"), 0))
    rows = []
    for one in worst_first:
        fix = " -> %s" % one["fix"] if one.get("fix") else ""
        level = {"ok": "i", "warn": "w"}.get(one.get("level"), "e")
        text = "%s %s: %s%s" % (one.get("level"), one.get("code"), one["message"], fix)
        rows.append((level, text))
    more = len(rows) - MOST_FINDINGS
    if more > 0:
        rows[MOST_FINDINGS:] = ["and %s more" % counted(more, "finding")]
    found = [one.get("level") for one in findings]
    well = sum(level == "ok" for level in found)
    headline = "%s well" % counted(well, "finding")
    if well < len(found):
        headline = "%s to look at, %d well" % (
            counted(len(found) - well, "finding"),
            well,
        )
    report(say, headline, rows, level="i" if well == len(found) else "w")
    return answer


LEVELS = {"fail": 0, "warn": 1, "ok": 2}


def outages(ask, args, say):
    answer = ask("GET", "/api/v1/outages")
    headline = (
        "Plex: %s, %.3f %% available, mean time to repair %s, between failures %s"
        % (
            counted(answer.get("count", 0), "outage"),
            100 * answer.get("availability", 1.0),
            spelled(answer.get("mttr_seconds")),
            spelled(answer.get("mtbf_seconds")),
        )
    )
    rows = []
    for one in answer.get("outages", [])[:MAX_ROWS]:
        end = "to %s" % one["ended_at"] if one.get("ended_at") else "goes on"
        verb = "waited" if one.get("ended_at") else "wait now"
        rows.append(
            "%s: %s %s, %s, %s %s: %s"
            % (
                one.get("service"),
                one.get("started_at"),
                end,
                spelled(one.get("seconds")),
                counted(one.get("jobs", 0), "job"),
                verb,
                one.get("cause"),
            )
        )
    report(say, headline, rows)
    return answer


def spelled(seconds):
    if seconds is None:
        return "unknown"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return "%d h %02d min" % (hours, minutes)
    return "%d min %02d s" % (minutes, rest) if minutes else "%d s" % rest


# --- the queue ----------------------------------------------------------------


def queue(ask, args, say):
    answer = ask("GET", "/api/v1/queue%s" % page(args))
    rows = []
    for one in answer.get("jobs", [])[:MAX_ROWS]:
        why = "; %s: %s" % (one["code"], one["error"]) if one.get("code") else ""
        rows.append(
            "%s %s: %s, due %s%s"
            % (one["kind"], one["id"], one["state"], one["due_at"], why)
        )
    report(say, counted(answer.get("total", 0), "job"), rows)
    return answer


def process_queue(ask, args, say):
    answer = ask("POST", "/api/v1/queue/process")
    say("i", "%s brought forward" % counted(answer.get("due", 0), "waiting job"))
    follow_queue(ask, args, say)
    return answer


def clear_queue(ask, args, say):
    answer = ask("POST", "/api/v1/queue/clear")
    say("i", "%s dropped" % counted(answer.get("cleared", 0), "job"))
    return answer


def patience(args):
    """Return for how many seconds a task follows what it started; 0 is not at all."""
    return float(args.get("follow") or 0)


def away(found):
    """Return which server is away, "" if neither is known to be."""
    for name in ("plex", "stash"):
        server = found.get(name) or {}
        is_open = server.get("breaker", "closed") != "closed"
        if is_open or server.get("state") in ("down", "denied"):
            return name.capitalize()
    return ""


def waits(count):
    return "%s %s" % (counted(count, "job"), "waits" if count == 1 else "wait")


def follow_queue(ask, args, say):
    """Wait until the queue is empty, the circuit opens, or it takes too long."""
    if not patience(args):
        return
    ends = time.monotonic() + patience(args)
    first = None
    while True:
        found = ask("GET", "/api/v1/status")
        jobs = found.get("queue") or {}
        left = jobs.get("queued", 0) + jobs.get("running", 0)
        first = max(first or left, left, 1)
        say("p", "%.3f" % (1.0 - left / first))
        gone = away(found)
        if gone and left + jobs.get("waiting", 0):
            late = counted(left + jobs.get("waiting", 0), "job")
            say("w", "%s is away; %s delivered later" % (gone, late))
            return
        if not left:
            break
        if time.monotonic() >= ends:
            say("i", "%s to go; %s" % (counted(left, "job"), GOES_ON))
            return
        time.sleep(min(POLL_SECONDS, max(0.0, ends - time.monotonic())))
    done, waiting = found.get("deliveries") or {}, jobs.get("waiting", 0)
    say(
        "i",
        "%s; since its start the daemon wrote %s, left %s unchanged,"
        " skipped %s; %s dead"
        % (
            "%s for another try" % waits(waiting) if waiting else "Nothing left to do",
            counted(done.get("written", 0), "scene"),
            done.get("unchanged", 0),
            done.get("skipped", 0),
            jobs.get("dead", 0),
        ),
    )


# --- dead letters -------------------------------------------------------------


def dead(ask, args, say):
    answer = ask("GET", "/api/v1/dead%s" % page(args))
    rows = [
        "%s %s: %s, %s, last %s: %s"
        % (
            one["kind"],
            one["id"],
            one["code"],
            counted(one["attempts"], "attempt"),
            one["failed_at"],
            one["error"],
        )
        for one in answer.get("dead", [])[:MAX_ROWS]
    ]
    report(say, counted(answer.get("total", 0), "dead letter"), rows)
    return answer


def dead_retry(ask, args, say):
    answer = ask("POST", "/api/v1/dead/retry", choice(args))
    say("i", "%s tried again" % counted(answer.get("retried", 0), "dead letter"))
    follow_queue(ask, args, say)
    return answer


def dead_clear(ask, args, say):
    answer = ask("POST", "/api/v1/dead/clear", choice(args))
    say("i", "%s forgotten" % counted(answer.get("cleared", 0), "dead letter"))
    return answer


def dead_purge(ask, args, say):
    answer = ask("POST", "/api/v1/dead/purge", choice(args))
    say("i", "%s forgotten" % counted(answer.get("purged", 0), "old dead letter"))
    return answer


def recover(ask, args, say):
    answer = ask("POST", "/api/v1/recover", choice(args), LONG)
    say(
        "i",
        "%s tried again, %s forgotten"
        % (
            counted(answer.get("requeued", 0), "dead letter"),
            counted(answer.get("gone", 0), "deleted scene"),
        ),
    )
    follow_queue(ask, args, say)
    return answer


# --- whole libraries ----------------------------------------------------------


def sync(ask, args, say):
    """Enqueue scenes: *scene_ids* of an operation, else all of a scope."""
    body = {"scope": scope(args)}
    if args.get("scene_ids") is not None:
        body = {"scene_ids": numbers(args["scene_ids"])}
    answer = ask("POST", "/api/v1/sync", body, LONG)
    say("i", "%s enqueued" % counted(answer.get("enqueued", 0), "scene"))
    follow_queue(ask, args, say)
    return answer


def reconcile(ask, args, say):
    body = {"scope": scope(args)}
    if args.get("force") is not None:
        body["force"] = args["force"] is True
    answer = ask("POST", "/api/v1/reconcile", body)
    if not patience(args):
        return answer
    ends = time.monotonic() + patience(args)
    path = "/api/v1/reconcile/%d" % answer["run"]
    while True:
        run = ask("GET", path)
        if run.get("state") != "running":
            break
        total = max(run.get("items", 0), run.get("scenes", 0), 1)
        say("p", "%.3f" % min(0.95, run.get("scenes", 0) / total / 2))
        if time.monotonic() >= ends:
            far = counted(run.get("scenes", 0), "scene")
            say("i", "%s compared so far; %s" % (far, GOES_ON))
            return run
        time.sleep(min(POLL_SECONDS, max(0.0, ends - time.monotonic())))
    say("p", "1")
    if run.get("error"):
        say("e", "The comparison %s: %s" % (run.get("state"), run["error"]))
        return run
    headline = "%s and %s compared, %s enqueued" % (
        counted(run.get("scenes", 0), "scene"),
        counted(run.get("items", 0), "item"),
        counted(run.get("enqueued", 0), "job"),
    )
    found = sorted((run.get("gaps") or {}).items())
    report(say, headline, ["%s: %d" % (kind, count) for kind, count in found if count])
    return run


def gaps(ask, args, say):
    answer = ask("GET", "/api/v1/gaps%s" % page(args, "kind"))
    rows = []
    for one in answer.get("gaps", [])[:MAX_ROWS]:
        whose = "file"
        if one.get("scene"):
            whose = "scene %s" % one["scene"]
        elif one.get("item"):
            whose = "item %s" % one["item"]
        rows.append("%s: %s %s: %s" % (one["kind"], whose, one["path"], one["detail"]))
    report(say, counted(answer.get("total", 0), "gap"), rows)
    return answer


def ping(ask, args, say):
    """Post an event that means no scene, as a hook would."""
    return ask("POST", "/api/v1/hooks", {"type": "Plugin.Ping.Post", "id": 1})


# --- the page in Stash ---------------------------------------------------------


def overview(ask, args, say):
    """Answer all that the page shows, so that it costs one process each time."""
    few = {"limit": args.get("limit", MAX_ROWS)}
    shown = dict(few, kind=args.get("kind"), offset=args.get("gaps_offset"))
    buried = dict(few, offset=args.get("dead_offset"))
    return {
        "status": ask("GET", "/api/v1/status"),
        "gaps": ask("GET", "/api/v1/gaps%s" % page(shown, "kind")),
        "dead": ask("GET", "/api/v1/dead%s" % page(buried)),
        "outages": ask("GET", "/api/v1/outages"),
    }


def explain(ask, args, say):
    """Answer why a scene, an item or a path is, or is not, in step."""
    return ask("GET", "/api/v1/explain?q=%s" % quoted(str(args.get("q") or "")))


# --- what Stash hands over ----------------------------------------------------


def scope(args):
    found = str(args.get("scope") or "all")
    if found not in SCOPES:
        raise ValueError("scope must be one of %s" % ", ".join(SCOPES))
    return found


def numbers(found):
    if not isinstance(found, list) or not all(type(one) is int for one in found):
        raise ValueError("scene_ids must be a list of numbers")
    return found


def choice(args):
    """Return which dead letters an operation names; none means all."""
    body = {}
    if args.get("scene_ids") is not None:
        body["scene_ids"] = numbers(args["scene_ids"])
    for name in ("codes", "days"):
        if args.get(name) is not None:
            body[name] = args[name]
    return body


def page(args, *more):
    """Return the query of a page; only what is a number or a plain word."""
    given = [name for name in ("limit", "offset") if args.get(name) is not None]
    pairs = ["%s=%d" % (name, int(args[name])) for name in given]
    for name in more:
        word = str(args.get(name) or "")
        if word:
            if not word.replace("_", "").isalnum() or not word.isascii():
                raise ValueError("%s must be a plain word" % name)
            pairs.append("%s=%s" % (name, word))
    return "?%s" % "&".join(pairs) if pairs else ""


def quoted(text):
    """Return *text* as it stands in a query; urllib.parse would take long to import."""
    return "".join(
        chr(byte) if chr(byte).isalnum() and byte < 128 else "%%%02X" % byte
        for byte in text.encode("utf-8", "replace")
    )


MODES = {
    "status": status,
    "health": health,
    "outages": outages,
    "queue": queue,
    "process_queue": process_queue,
    "clear_queue": clear_queue,
    "dead": dead,
    "dead_retry": dead_retry,
    "dead_clear": dead_clear,
    "dead_purge": dead_purge,
    "recover": recover,
    "sync": sync,
    "reconcile": reconcile,
    "gaps": gaps,
    "ping": ping,
    "overview": overview,
    "explain": explain,
}
