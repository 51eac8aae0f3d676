"""Asking the stash2plex daemon for what a task, or the page in Stash, wants.

Each answer of a task goes to Stash's log, which shows the newest line first: the most
important one comes last.
"""

import http.client
import json
import ssl
import sys
from urllib.parse import urlsplit

import stash2plexd_tasks

PLUGIN_ID = "stash2plexd"
TASK_SECONDS = 10.0
MAX_LINES = 29
MAX_LINE = 3900
DEFAULT_URL = "http://127.0.0.1:9898"
NO_HOSTS = ("", "0.0.0.0", "::", "[::]")
SETTINGS = {"query": '{configuration{plugins(include:["%s"])}}' % PLUGIN_ID}
SETTING = "the setting Daemon URL"


class Failure(Exception):
    """Something to tell the user, with what to do about it."""


def log(level, text):
    """Write a log line for Stash; *level* is one of t d i w e, or p for progress."""
    line = " ".join(str(text).split())
    sys.stderr.write("\x01%s\x02%s\n" % (level, line[:MAX_LINE] or " "))
    sys.stderr.flush()


def main():
    output, error = None, None
    try:
        message = json.loads(sys.stdin.buffer.read().decode("utf-8", "replace"))
        server = message.get("server_connection") or {}
        output = operate(server, message.get("args") or {})
    except Failure as failure:
        error = str(failure)
    except Exception as failure:  # nothing may reach the user as a traceback
        error = "stash2plexd: %s: %s" % (type(failure).__name__, failure)
    result = {"output": None, "error": error} if error else {"output": output}
    # Logs were flushed before, as Stash may close the pipe then.
    sys.stdout.write(json.dumps(result))
    sys.stdout.flush()


def operate(server, args):
    """Run a task, or an operation of the page in Stash; returns the daemon's answer."""
    modes = stash2plexd_tasks.MODES
    mode = args.get("mode")
    if mode not in modes:
        known = ", ".join(sorted(modes))
        raise Failure("unknown mode %r; known are %s" % (mode, known))
    left = [MAX_LINES]

    def ask(method, path, body=None, seconds=TASK_SECONDS):
        return daemon.ask(method, path, body, seconds)

    def say(level, text):
        left[0] -= level != "p"
        # The page shows what it asked for by itself.
        if left[0] >= 0 and not args.get("quiet"):
            log(level, text)

    try:
        daemon = Daemon(server, *read_settings(server))
    except (AttributeError, KeyError, OSError, TypeError, ValueError) as failure:
        raise Failure("Stash did not tell the settings: %s" % failure) from None
    try:
        return modes[mode](ask, args, say)
    except (KeyError, AttributeError) as failure:
        raise daemon.not_the_daemon("%s is missing" % failure) from None
    except (OSError, TypeError, ValueError) as failure:
        raise Failure("%s: %s" % (mode, failure)) from None


def read_settings(server):
    """Return (URL, token) of the daemon from the plugin's settings in Stash."""
    cookie = server.get("SessionCookie") or {}
    headers = {"Accept": "application/json", "Content-Type": "application/json"}
    if cookie.get("Value"):
        headers["Cookie"] = "%s=%s" % (cookie.get("Name") or "session", cookie["Value"])
    host = server.get("Host") or ""
    address = (
        server.get("Scheme") or "http",
        "127.0.0.1" if host in NO_HOSTS else host.strip("[]"),
        int(server.get("Port") or 9999),
    )
    # Stash's own certificate, from the process that started us.
    status, _, body = request(
        address, "POST", "/graphql", headers, SETTINGS, TASK_SECONDS, verify=False
    )
    if status != 200:
        raise Failure("Stash answered HTTP %s when asked for the settings" % status)
    found = json.loads(body)["data"]["configuration"]["plugins"].get(PLUGIN_ID) or {}
    url = str(found.get("daemonUrl") or "").strip() or DEFAULT_URL
    return url, str(found.get("daemonToken") or "").strip()


class Daemon:
    """The daemon at *url*, as seen from the Stash that *server* tells of."""

    def __init__(self, server, url, token):
        self.url = url
        try:
            parts = urlsplit(url)
            port, host = parts.port, parts.hostname
        except ValueError:
            host = None
        if "@" in url:
            raise Failure(
                "%s has a name or password in it, and the daemon knows none; it must"
                " look like %s" % (SETTING, DEFAULT_URL)
            )
        if not host or parts.scheme not in ("http", "https"):
            raise Failure(
                "%s is %r; it must look like %s" % (SETTING, self.url, DEFAULT_URL)
            )
        if not (token.isascii() and token.isprintable()):
            raise Failure("the setting Daemon token holds characters of no token")
        self.path = parts.path.rstrip("/")
        self.address = (
            parts.scheme,
            host,
            port or (443 if parts.scheme == "https" else 80),
        )
        self.headers = {"Content-Type": "application/json"}
        if token:
            self.headers["Authorization"] = "Bearer %s" % token
        self.is_stash = self.address[2] == server.get("Port")

    def ask(self, method, path, body, seconds):
        """Return an answer; raises Failure with a remedy."""
        target = self.path + path
        try:
            status, headers, text = request(
                self.address, method, target, self.headers, body, seconds, verify=True
            )
        except (OSError, ValueError, http.client.HTTPException) as failure:
            raise Failure(
                "no daemon at %s (%s); is it running, and is that its address as seen"
                " from Stash's machine or container? See %s"
                % (self.url, failure or type(failure).__name__, SETTING)
            ) from None
        if headers.get("X-Plex-Protocol"):
            raise Failure(
                "%s is %s, which is Plex; the daemon has an address of its own, which"
                " looks like %s" % (SETTING, self.url, DEFAULT_URL)
            )
        try:
            answer = json.loads(text)
        except ValueError:
            answer = None
        if not isinstance(answer, dict) or (status in (404, 405) and self.path):
            raise self.not_the_daemon("HTTP %s" % status)
        if status == 401:
            raise Failure(
                "the daemon refused the token; copy server.token, or the file 'token'"
                " in its data directory, to the setting Daemon token"
            )
        if status >= 400:
            raise Failure(
                "the daemon answered HTTP %s: %s" % (status, answer.get("message"))
            )
        return answer

    def not_the_daemon(self, why):
        """Return what to tell where something else answers."""
        hint = "see %s" % SETTING
        if self.is_stash:
            hint = "is that Stash itself? See %s" % SETTING
        elif self.path:
            hint = "the daemon has no path, so take %r out of %s" % (self.path, SETTING)
        return Failure("%s is not the daemon (%s); %s" % (self.url, why, hint))


def request(address, method, target, headers, body, seconds, verify):
    """Send one request; returns status, headers and text. *body* is sent as JSON."""
    scheme, host, port = address
    if scheme == "https":
        context = ssl.create_default_context()
        if not verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        connection = http.client.HTTPSConnection(
            host, port, timeout=seconds, context=context
        )
    else:
        connection = http.client.HTTPConnection(host, port, timeout=seconds)
    try:
        sent = None if body is None else json.dumps(body).encode("ascii")
        connection.request(method, target, body=sent, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read().decode("utf-8", "replace")
    finally:
        connection.close()
