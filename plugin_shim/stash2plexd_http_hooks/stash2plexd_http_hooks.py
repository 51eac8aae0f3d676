"""What Stash runs at every change: forwards it to the stash2plex daemon over HTTP.

Standard library only, Python 3.9 or newer. Stash waits for this process before it
answers the user's save, so it has one second at most, imports next to nothing,
retries nothing, and never fails. If the daemon is away it will find out by itself.

Written so that an older Python can read it as well, and say what is wrong.
"""

import _thread
import json
import os
import socket
import stat
import sys
import time

OLDEST_PYTHON = (3, 9)
PLUGIN_ID = "stash2plexd_http_hooks"
TASKS_ID = "stash2plexd"
SECONDS = 0.8
# So long a daemon is left alone that had its fair share of time and no answer, seconds.
REST, FAIR = 15.0, 0.4
MAX_LINE = 3900
DEFAULT_URL = "http://127.0.0.1:9898"
NO_HOSTS = ("", "0.0.0.0", "::", "[::]")
SETTINGS = '{"query":"{configuration{plugins(include:[\\"%s\\",\\"%s\\"])}}"}' % (
    TASKS_ID,
    PLUGIN_ID,
)


class Failure(Exception):
    """Something to tell the user, with what to do about it."""


class Hangs(Failure):
    """The daemon did not answer in time."""


class Deadline:
    """The time that is left of a budget of seconds."""

    def __init__(self, seconds):
        self.ends = time.monotonic() + seconds

    def left(self):
        left = self.ends - time.monotonic()
        if left <= 0:
            raise socket.timeout("no answer in time")
        return left


def main():
    output, error = "ok", None
    try:
        demand_python()
        message = json.loads(sys.stdin.buffer.read().decode("utf-8", "replace"))
        server = message.get("server_connection") or {}
        hook = (message.get("args") or {}).get("hookContext")
        if hook is None:
            output = tell(server, {"type": "Plugin.Ping.Post", "id": 1})
        elif not rests(server):
            within(SECONDS, forward, server, event_of(hook))
    except Failure as failure:
        error = str(failure)
    except Exception as failure:  # nothing may reach the user as a traceback
        told = "%s: what Stash handed over makes no sense (%s)"
        error = told % (PLUGIN_ID, type(failure).__name__)
    finish(output, error)


def demand_python():
    if sys.version_info < OLDEST_PYTHON:
        raise Failure(
            "Stash runs Python %d.%d, and this needs 3.9 or newer; see Settings >"
            " System > Python executable path" % tuple(sys.version_info[:2])
        )


def within(seconds, function, server, event):
    """Run *function*, but wait no longer: looking up a host name knows no time-out."""
    done = _thread.allocate_lock()
    done.acquire()

    def run():
        try:
            function(server, event)
        finally:
            done.release()

    _thread.start_new_thread(run, ())
    if not done.acquire(timeout=seconds + 0.05):
        rest_if_fair(server, event)
        warn("the hook", "no answer in time")
        finish("ok", None)
        os._exit(0)


def warn(what, why):
    """Write one line of Stash's log."""
    text = "%s was not forwarded: %s. The daemon catches up by itself later."
    line = " ".join((text % (what, why)).split())
    sys.stderr.write("\x01w\x02%s\n" % line[:MAX_LINE])
    sys.stderr.flush()


def finish(output, error):
    """Print the result; logs are flushed before, as Stash may close the pipe then."""
    result = {"output": None, "error": error} if error else {"output": output}
    sys.stdout.write(json.dumps(result))
    sys.stdout.flush()


# --- what is told -------------------------------------------------------------


def event_of(hook):
    """Return what the daemon is told of a hook."""
    event = {"type": str(hook.get("type") or ""), "id": hook.get("id")}
    fields = hook.get("inputFields")
    if isinstance(fields, list):
        event["fields"] = [str(one) for one in fields if one != "id"]
    given = hook.get("input")
    if event["type"] == "Scene.Destroy.Post" and isinstance(given, dict):
        names = ("path", "oshash", "checksum")
        event["files"] = {name: given.get(name) for name in names}
    return event


def forward(server, event):
    """Tell the daemon; whatever goes wrong becomes one warning line."""
    what = "%(type)s of %(id)s" % event
    try:
        tell(server, event)
    except Hangs as failure:
        rest_if_fair(server, event)
        warn(what, failure)
    except Exception as failure:
        warn(what, failure)


def tell(server, event):
    """Post an event to the daemon; returns its answer. Raises Failure."""
    deadline = Deadline(SECONDS)
    try:
        url, token = read_settings(server, deadline)
    except (AttributeError, KeyError, OSError, TypeError, ValueError) as failure:
        why = failure if str(failure) else type(failure).__name__
        raise Failure("Stash did not tell the settings (%s)" % why) from None
    sent = json.dumps(event).encode("ascii")
    event["asked"] = time.monotonic()  # from here on it is the daemon's time
    answer = post(url, token, sent, deadline)
    if "outcome" not in answer:
        raise Failure("what answers at %s is not the daemon" % url)
    return answer


# --- a daemon that hangs ------------------------------------------------------


def marker(server):
    """Return the file whose age says when the daemon last did not answer in time.

    One for each user and Stash: others may have another daemon.
    """
    names = [os.environ.get(name) for name in ("TMPDIR", "TEMP", "TMP")]
    folder = next((name for name in names if name), "/tmp")  # noqa: S108 - see `rests`
    user = os.getuid() if hasattr(os, "getuid") else "user"
    port = int(server.get("Port") or 9999)
    return os.path.join(folder, "stash2plexd-%s-%d-no-answer" % (user, port))


def is_ours(found):
    """Whether a file is one that `rest` may have made."""
    mine = not hasattr(os, "getuid") or found.st_uid == os.getuid()
    return mine and stat.S_ISREG(found.st_mode)


def rests(server):
    """Whether the daemon is left alone: it did not answer in time a moment ago."""
    try:
        found = os.lstat(marker(server))
    except (OSError, ValueError):
        return False
    return is_ours(found) and 0 <= time.time() - found.st_mtime <= REST


def rest_if_fair(server, event):
    """Leave the daemon alone for a while, if it was what took the time."""
    if time.monotonic() - event.get("asked", float("inf")) >= FAIR:
        rest(server)


def rest(server):
    """Leave the daemon alone for a while; where nothing can be written, go on."""
    # Whatever somebody else put there is neither followed nor waited for.
    flags = os.O_WRONLY | os.O_CREAT
    flags |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        file = os.open(marker(server), flags, 0o600)
    except (OSError, ValueError):
        return
    try:
        if is_ours(os.fstat(file)):
            os.utime(file if os.utime in os.supports_fd else marker(server), None)
    except OSError:
        pass
    finally:
        os.close(file)


# --- HTTP ---------------------------------------------------------------------


def read_settings(server, deadline):
    """Return (URL, token) of the daemon; ours where they are set, else of the tasks."""
    host = server.get("Host") or ""
    host = "127.0.0.1" if host in NO_HOSTS else host
    scheme = server.get("Scheme") or "http"
    cookie = server.get("SessionCookie") or {}
    headers = {"Accept": "application/json", "Content-Type": "application/json"}
    if cookie.get("Value"):
        headers["Cookie"] = "%s=%s" % (cookie.get("Name") or "session", cookie["Value"])
    status, body = request(
        (scheme, host, int(server.get("Port") or 9999)),
        "/graphql",
        headers,
        SETTINGS.encode("ascii"),
        deadline,
        verify=False,
    )
    if status != 200:
        raise Failure("Stash answered HTTP %s when asked for the settings" % status)
    found = json.loads(body)["data"]["configuration"]["plugins"]
    places = [found.get(PLUGIN_ID), found.get(TASKS_ID)]
    return tuple(
        next(
            (
                str(one[name]).strip()
                for one in places
                if one and str(one.get(name) or "").strip()
            ),
            unset,
        )
        for name, unset in (("daemonUrl", DEFAULT_URL), ("daemonToken", ""))
    )


def place_of(url):
    """Return (scheme, host, port) and path of a URL; raises Failure if it is none."""
    if "@" in url:
        raise Failure(
            "the setting Daemon URL has a name or password in it, and the daemon knows"
            " none; it must look like %s" % DEFAULT_URL
        )
    scheme, _, remainder = url.rstrip("/").partition("://")
    scheme = scheme.lower()
    authority, slash, path = remainder.partition("/")
    bracket = authority.rfind("]")
    host, _, port = authority[bracket + 1 :].partition(":")
    host = authority[1:bracket] if bracket > 0 else host
    is_port = port.isdigit() and port.isascii() and int(port) < 65536
    if scheme not in ("http", "https") or not host or (port and not is_port):
        raise Failure(
            "the setting Daemon URL is %r; it must look like %s" % (url, DEFAULT_URL)
        )
    port = int(port or (443 if scheme == "https" else 80))
    return (scheme, host, port), slash + path


def post(url, token, sent, deadline):
    """Post to the daemon; returns its answer, raises Failure with a remedy."""
    place, prefix = place_of(url)
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = "Bearer %s" % token
    target = prefix + "/api/v1/hooks"
    try:
        status, text = request(place, target, headers, sent, deadline, verify=True)
    except socket.timeout:
        raise Hangs("no answer from %s in time" % url) from None
    except (OSError, ValueError) as failure:
        raise Failure("no daemon at %s (%s)" % (url, failure)) from None
    if text is None:
        raise Failure("the setting Daemon URL is %s, which is Plex" % url)
    try:
        answer = dict(json.loads(text))
    except (TypeError, ValueError):
        answer = None
    if answer is None or (status in (404, 405) and prefix):
        hint = "; the daemon has no path" if prefix else ""
        raise Failure("%s is not the daemon (HTTP %s)%s" % (url, status, hint))
    if status == 401:
        raise Failure("the daemon refused the token; see the setting Daemon token")
    if status >= 400:
        said = answer.get("message")
        raise Failure("the daemon answered HTTP %s: %s" % (status, said))
    return answer


def request(address, target, headers, body, deadline, verify):
    """Send one HTTP/1.0 request; returns (status, body), without a body if it is Plex.

    http.client alone would take longer to import than all the rest of this file.
    """
    scheme, host, port = address
    lines = ["POST %s HTTP/1.0" % target]
    lines.append("Host: %s:%d" % ("[%s]" % host if ":" in host else host, port))
    lines.extend("%s: %s" % pair for pair in headers.items())
    lines.append("Content-Length: %d" % len(body))
    if not all(line.isascii() and line.isprintable() for line in lines):
        raise Failure("the settings hold characters that no HTTP header may have")
    head = "\r\n".join(lines)
    connection = socket.create_connection((host, port), timeout=deadline.left())
    try:
        if scheme == "https":
            connection = secured(connection, host, verify)
        connection.settimeout(deadline.left())
        connection.sendall(head.encode("ascii") + b"\r\n\r\n" + body)
        return read_answer(connection, deadline)
    finally:
        connection.close()


def secured(connection, host, verify):
    import ssl  # only who needs it pays for it

    context = ssl.create_default_context()
    if not verify:  # Stash's own certificate, from the process that started us
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(connection, server_hostname=host)


def read_answer(connection, deadline):
    received = b""
    while True:
        connection.settimeout(deadline.left())
        more = connection.recv(65536)
        if not more:
            break
        received += more
        head, found, body = received.partition(b"\r\n\r\n")
        length = content_length(head) if found else None
        if length is not None and len(body) >= length:
            break
    head, _, body = received.partition(b"\r\n\r\n")
    parts = head.split(b" ", 2)
    if len(parts) < 2 or not parts[1][:3].isdigit():
        raise ValueError("the answer is not HTTP")
    is_plex = b"\r\nx-plex-protocol:" in head.lower()
    return int(parts[1][:3]), None if is_plex else body.decode("utf-8", "replace")


def content_length(head):
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            return int(value)
    return None


if __name__ == "__main__":
    main()
