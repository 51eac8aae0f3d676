"""What Stash runs: forwards a hook to the stash2plex daemon, or asks it something.

Standard library only, Python 3.9 or newer. Stash waits for this process before it
answers the user's save, so a hook has one second at most, imports next to nothing,
retries nothing, and never fails. If the daemon is away it will find out by itself.
"""

import _thread
import json
import os
import socket
import sys
import time

PLUGIN_ID = "stash2plexd"
HOOK_SECONDS = 0.9
TASK_SECONDS = 10.0
MAX_LINES = 29
MAX_LINE = 3900
DEFAULT_URL = "http://127.0.0.1:9898"
NO_HOSTS = ("", "0.0.0.0", "::", "[::]")
NOT_THE_DAEMON = "%s is not the daemon (HTTP %s); see the setting Daemon URL"
SETTINGS = '{"query":"{configuration{plugins(include:[\\"%s\\"])}}"}' % PLUGIN_ID


class Failure(Exception):
    """Something to tell the user, with what to do about it."""


class Deadline:
    """The time that is left of a budget of seconds."""

    def __init__(self, seconds):
        self.ends = time.monotonic() + seconds

    def left(self):
        left = self.ends - time.monotonic()
        if left <= 0:
            raise socket.timeout("no answer in time")
        return left


def log(level, text):
    """Write log lines for Stash; *level* is one of t d i w e, or p for progress."""
    for line in str(text).splitlines() or [""]:
        sys.stderr.write("\x01%s\x02%s\n" % (level, line[:MAX_LINE] or " "))
    sys.stderr.flush()


def main():
    output, error = "ok", None
    try:
        message = json.loads(sys.stdin.buffer.read().decode("utf-8", "replace"))
        server = message.get("server_connection") or {}
        args = message.get("args") or {}
        hook = args.get("hookContext")
        if hook:
            within(HOOK_SECONDS, forward, server, hook)
        else:
            output = operate(server, args)
    except Failure as failure:
        error = str(failure)
    except Exception as failure:  # nothing may reach the user as a traceback
        error = "stash2plexd: %s: %s" % (type(failure).__name__, failure)
    finish(output, error)


def within(seconds, function, *args):
    """Run *function*, but wait no longer: looking up a host name knows no time-out."""
    done = _thread.allocate_lock()
    done.acquire()

    def run():
        try:
            function(*args)
        finally:
            done.release()

    _thread.start_new_thread(run, ())
    if not done.acquire(timeout=seconds + 0.05):
        log(
            "w",
            "the hook was not forwarded: no answer in time."
            " The daemon catches up by itself later.",
        )
        finish("ok", None)
        os._exit(0)


def finish(output, error):
    """Print the result; logs are flushed before, as Stash may close the pipe then."""
    result = {"output": output}
    if error:
        result = {"output": None, "error": error}
    sys.stdout.write(json.dumps(result))
    sys.stdout.flush()


def forward(server, hook):
    """Tell the daemon; whatever goes wrong becomes one warning line."""
    deadline = Deadline(HOOK_SECONDS)
    kind = str(hook.get("type") or "")
    event = {"type": kind, "id": hook.get("id")}
    fields = hook.get("inputFields")
    if isinstance(fields, list):
        event["fields"] = [str(field) for field in fields]
    given = hook.get("input")
    if kind == "Scene.Destroy.Post" and isinstance(given, dict):
        names = ("path", "oshash", "checksum")
        event["files"] = {name: given.get(name) for name in names}
    try:
        settings = read_settings(server, deadline)
        demand(
            call(settings, "POST", "/api/v1/hooks", event, deadline),
            "outcome",
            settings,
        )
    except Exception as failure:
        log(
            "w",
            "%s of %s was not forwarded: %s. The daemon catches up by itself later."
            % (kind, event["id"], failure),
        )


def demand(answer, name, settings):
    """Raise Failure unless *answer* has what the daemon's has."""
    if name not in answer:
        raise Failure(NOT_THE_DAEMON % (settings[0], "no %s" % name))


def operate(server, args):
    """Run a task, or an operation of the page in Stash; returns the daemon's answer."""
    modes = load_modes()
    mode = args.get("mode")
    if mode not in modes:
        raise Failure(
            "unknown mode %r; known are %s" % (mode, ", ".join(sorted(modes)))
        )
    left = [MAX_LINES]

    def ask(method, path, body=None, seconds=TASK_SECONDS):
        return call(settings, method, path, body, Deadline(seconds))

    def say(level, text):
        text = " ".join(str(text).splitlines())  # one line of the log each
        left[0] -= level != "p"
        if left[0] >= 0:
            log(level, text)

    try:
        settings = read_settings(server, Deadline(TASK_SECONDS))
    except (AttributeError, KeyError, OSError, TypeError, ValueError) as failure:
        raise Failure("Stash did not tell the settings: %s" % failure) from None
    try:
        return modes[mode](ask, args, say)
    except (KeyError, AttributeError) as failure:
        # JSON, but not ours.
        raise Failure(
            NOT_THE_DAEMON % (settings[0], "%s is missing" % failure)
        ) from None
    except (OSError, TypeError, ValueError) as failure:
        raise Failure("%s: %s" % (mode, failure)) from None


def load_modes():
    """Return the tasks, which hooks need not wait for; -I hides the file beside us."""
    sys.dont_write_bytecode = True
    sys.path.append(os.path.dirname(os.path.abspath(__file__)))
    import stash2plexd_tasks

    return stash2plexd_tasks.MODES


def read_settings(server, deadline):
    """Return (URL, token) of the daemon from the plugin's settings in Stash."""
    host = server.get("Host") or ""
    host = "127.0.0.1" if host in NO_HOSTS else host
    scheme = server.get("Scheme") or "http"
    cookie = server.get("SessionCookie") or {}
    headers = {"Accept": "application/json", "Content-Type": "application/json"}
    if cookie.get("Value"):
        headers["Cookie"] = "%s=%s" % (cookie.get("Name") or "session", cookie["Value"])
    status, body = request(
        (scheme, host, int(server.get("Port") or 9999)),
        "POST",
        "/graphql",
        headers,
        SETTINGS.encode("ascii"),
        deadline,
        verify=False,
    )
    if status != 200:
        raise Failure("Stash answered HTTP %s when asked for the settings" % status)
    found = json.loads(body)["data"]["configuration"]["plugins"].get(PLUGIN_ID) or {}
    return str(found.get("daemonUrl") or DEFAULT_URL), str(
        found.get("daemonToken") or ""
    )


def call(settings, method, path, document, deadline):
    """Ask the daemon; returns its answer, raises Failure with a remedy."""
    url, token = settings
    scheme, _, rest = url.strip().rstrip("/").partition("://")
    authority, slash, prefix = rest.partition("/")
    host, _, port = (
        authority.rpartition(":") if ":" in authority else (authority, "", "")
    )
    if scheme not in ("http", "https") or not host or (port and not port.isdigit()):
        raise Failure(
            "the setting Daemon URL is %r; it must look like %s" % (url, DEFAULT_URL)
        )
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = "Bearer %s" % token.strip()
    body = b"" if document is None else json.dumps(document).encode("ascii")
    address = (
        scheme,
        host.strip("[]"),
        int(port or (443 if scheme == "https" else 80)),
    )
    try:
        status, text = request(
            address, method, slash + prefix + path, headers, body, deadline, verify=True
        )
    except (OSError, ValueError) as failure:
        raise Failure(
            "no daemon at %s (%s); is it running, and is that its address as seen from"
            " Stash's machine or container? See the setting Daemon URL"
            % (url, failure or type(failure).__name__)
        ) from None
    if status == 401:
        raise Failure(
            "the daemon refused the token; copy server.token, or the file 'token' in"
            " its data directory, to the setting Daemon token"
        )
    try:
        answer = json.loads(text)
    except ValueError:
        raise Failure(NOT_THE_DAEMON % (url, status)) from None
    if not isinstance(answer, dict):
        raise Failure(NOT_THE_DAEMON % (url, status))
    if status >= 400:
        raise Failure(
            "the daemon answered HTTP %s: %s" % (status, answer.get("message"))
        )
    return answer


def request(address, method, target, headers, body, deadline, verify):
    """Send one HTTP/1.0 request; returns (status, body).

    http.client alone would take longer to import than all the rest of this file.
    """
    scheme, host, port = address
    lines = ["%s %s HTTP/1.0" % (method, target)]
    shown = "[%s]" % host if ":" in host else host
    lines.append("Host: %s:%d" % (shown, port))
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
    return int(parts[1][:3]), body.decode("utf-8", "replace")


def content_length(head):
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            return int(value)
    return None


if __name__ == "__main__":
    main()
