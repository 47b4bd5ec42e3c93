"""The other end of tests/twisted_peers.rs: one end of each connection, written with Twisted.

    twisted_peer.py serve|connect ENDPOINT ACT...

The first connection performs the first act, the next one the next; a client connects anew when the
connection before it is lost. Each connection says what it got and how it was lost, in a line each.
"""

import io
import sys

from twisted.internet import reactor
from twisted.internet.endpoints import clientFromString, serverFromString
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Factory, Protocol
from twisted.protocols.basic import FileSender
from zope.interface import implementer

MUCH = bytes(number % 251 for number in range(3_000_000))


def say(*words):
    print(*words, flush=True)


class Act(Protocol):
    """Collects, and says at the end what it got."""

    def __init__(self, next_one):
        self.got = bytearray()
        self.next_one = next_one

    def dataReceived(self, data):
        self.got += data

    def connectionLost(self, reason):
        say("got", "much" if self.got == MUCH else repr(bytes(self.got[:80])))
        kinds = [ConnectionDone, ConnectionAborted, ConnectionLost]
        say("lost", reason.check(*kinds).__name__ if reason.check(*kinds) else repr(reason.value))
        self.next_one()


class Listen(Act):
    def connectionMade(self):
        self.transport.write(b"here")


class Swap(Act):
    """Sends much, as fast as it is taken, gets as much meanwhile, and ends."""

    def connectionMade(self):
        self.sent = False
        sending = FileSender().beginFileTransfer(io.BytesIO(MUCH), self.transport)
        sending.addCallback(self.all_sent)

    def all_sent(self, _last):
        self.sent = True
        self.end_if_done()

    def dataReceived(self, data):
        super().dataReceived(data)
        self.end_if_done()

    def end_if_done(self):
        if self.sent and len(self.got) >= len(MUCH):
            self.transport.loseConnection()


@implementer(IHalfCloseableProtocol)
class Ask(Act):
    """Ends its half after the question."""

    def connectionMade(self):
        self.transport.write(b"question")
        self.transport.loseWriteConnection()

    def readConnectionLost(self):
        self.transport.loseConnection()

    def writeConnectionLost(self):
        say("write closed")


@implementer(IHalfCloseableProtocol)
class Answer(Act):
    """Answers only when its peer's half has ended."""

    def readConnectionLost(self):
        say("read closed")
        self.transport.write(bytes(reversed(self.got)))
        self.transport.loseConnection()

    def writeConnectionLost(self):
        pass


class Lose(Act):
    """Writes much and ends at once."""

    def connectionMade(self):
        self.transport.write(MUCH)
        self.transport.loseConnection()


class Abort(Act):
    """Aborts when it hears anything."""

    def dataReceived(self, data):
        super().dataReceived(data)
        self.transport.abortConnection()


ACTS = {kind.__name__.lower(): kind for kind in [Listen, Swap, Ask, Answer, Lose, Abort]}


class Acts(Factory):
    def __init__(self, names, on_lost):
        self.names = iter(names)
        self.left = len(names)
        self.on_lost = on_lost

    def buildProtocol(self, _address):
        return ACTS[next(self.names)](self.one_less)

    def one_less(self):
        self.left -= 1
        if self.left == 0:
            reactor.stop()
        else:
            self.on_lost()


def fail(failure):
    say("failed", failure.getErrorMessage())
    reactor.stop()


def serve(description, names):
    listening = serverFromString(reactor, description).listen(Acts(names, lambda: None))
    listening.addCallback(lambda port: say("listening", getattr(port.getHost(), "port", 0)))
    listening.addErrback(fail)


def connect(description, names):
    factory = Acts(names, lambda: connect_once())

    def connect_once():
        clientFromString(reactor, description).connect(factory).addErrback(fail)

    connect_once()


{"serve": serve, "connect": connect}[sys.argv[1]](sys.argv[2], sys.argv[3:])
reactor.run()
