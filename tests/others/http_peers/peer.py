"""What h11 and llhttp (httptools) hear in the same bytes.

Reads a JSON list of cases from standard input, {"asked": null for a server, or the methods that a client
has asked with, "bytes": hexadecimal}, and writes a list: the peers' versions, then what each heard in
each case, in the words of main.rs. A peer that is not installed is null.
"""

import json
import sys

try:
    import h11
except ImportError:
    h11 = None
try:
    import httptools
except ImportError:
    httptools = None


class Heard(list):
    """What was told so far; bodies are joined."""

    def body(self, data):
        count = len(data)
        if count and self and isinstance(self[-1], int):
            self[-1] += count
        elif count:
            self.append(count)

    def told(self):
        return "; ".join(f"{it} bytes" if isinstance(it, int) else it for it in self)


def by_h11(asked, data):
    heard = Heard()
    conn = h11.Connection(h11.CLIENT if asked is not None else h11.SERVER)
    waiting = list(asked or [])
    ask(conn, waiting)
    conn.receive_data(data)
    while True:
        try:
            event = conn.next_event()
        except h11.RemoteProtocolError:
            return heard + ["refused"]
        if event is h11.NEED_DATA or event is h11.PAUSED:
            switched = conn.their_state in (h11.SWITCHED_PROTOCOL, h11.MIGHT_SWITCH_PROTOCOL)
            return heard + (["upgraded"] if switched else [])
        if isinstance(event, h11.Request):
            heard.append(f"{event.method.decode()} {event.target.decode()}")
        elif isinstance(event, h11.InformationalResponse):
            heard.append(f"{event.status_code}...")
        elif isinstance(event, h11.Response):
            heard.append(str(event.status_code))
        elif isinstance(event, h11.Data):
            heard.body(event.data)
        elif isinstance(event, h11.EndOfMessage):
            heard.append("end")
            if not next_message(conn, waiting, asked is None):
                return heard + (["refused"] if asked is not None and conn.trailing_data[0] else [])
        else:
            return heard + ["refused"]


def ask(conn, waiting):
    if waiting:
        method = waiting.pop(0)
        target = "a:1" if method == "CONNECT" else "/"
        conn.send(h11.Request(method=method, target=target, headers=[("Host", "a")]))
        conn.send(h11.EndOfMessage())


def next_message(conn, waiting, is_server):
    """Answers, or asks again; whether the connection goes on."""
    try:
        if is_server:
            connects = conn.their_state is h11.MIGHT_SWITCH_PROTOCOL
            conn.send(h11.Response(status_code=404 if connects else 200, headers=[("Content-Length", "0")]))
            conn.send(h11.EndOfMessage())
        conn.start_next_cycle()
        if not is_server and not waiting:
            return False
        ask(conn, waiting)
        return True
    except h11.LocalProtocolError:
        return False


class Listener:
    def __init__(self, parser_of):
        self.heard = Heard()
        self.parser = parser_of(self)
        self.url = b""

    def on_message_begin(self):
        self.url = b""

    def on_url(self, url):
        self.url += url

    def on_headers_complete(self):
        if isinstance(self.parser, httptools.HttpRequestParser):
            method = self.parser.get_method().decode()
            self.heard.append(f"{method} {self.url.decode('latin-1')}")
            return
        code = self.parser.get_status_code()
        self.heard.append(f"{code}..." if code < 200 and code != 101 else str(code))

    def on_body(self, data):
        self.heard.body(data)

    def on_message_complete(self):
        if not self.heard[-1:] or not str(self.heard[-1]).endswith("..."):
            self.heard.append("end")


def by_llhttp(asked, data):
    parser_of = httptools.HttpRequestParser if asked is None else httptools.HttpResponseParser
    listener = Listener(parser_of)
    try:
        listener.parser.feed_data(data)
    except httptools.HttpParserUpgrade:
        listener.heard.append("upgraded")
    except httptools.HttpParserError:
        listener.heard.append("refused")
    return listener.heard


def main():
    versions = {"h11": h11.__version__ if h11 else None, "llhttp": httptools.__version__ if httptools else None}
    told = [versions]
    for case in json.load(sys.stdin):
        asked, data = case["asked"], bytes.fromhex(case["bytes"])
        told.append({
            "h11": Heard(by_h11(asked, data)).told() if h11 else None,
            "llhttp": Heard(by_llhttp(asked, data)).told() if httptools else None,
        })
    json.dump(told, sys.stdout)


main()
