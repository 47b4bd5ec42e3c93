"""Plays scripts with Twisted's own ClientService, and prints what happened when.

Each line of standard input is a script: words `time:deed`, in order of time. The endpoint connects at once
while the server is `up`, is refused while it is `down`, and hears nothing while it hangs. Prints one line for
each script: `time:happening` words, where happenings of the same moment are in no order.
"""
import sys

from twisted.application.internet import ClientService, backoffPolicy
from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.error import ConnectionDone, ConnectionRefusedError
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.python.failure import Failure


class Transport:
    def __init__(self, clock, protocol):
        self.clock, self.protocol, self.lost = clock, protocol, False

    def loseConnection(self):
        self.clock.callLater(0, self.lose)

    def lose(self):
        if not self.lost:
            self.lost = True
            self.protocol.connectionLost(Failure(ConnectionDone()))


class Endpoint:
    def __init__(self, play):
        self.play = play

    def connect(self, factory):
        self.play.note("attempt")
        if self.play.server == "down":
            return fail(Failure(ConnectionRefusedError()))
        if self.play.server == "hang":
            return Deferred()
        protocol = factory.buildProtocol(IPv4Address("TCP", "127.0.0.1", 7))
        transport = self.play.transport = Transport(self.play.clock, protocol)
        protocol.makeConnection(transport)
        return succeed(protocol)


class Noted(Protocol):
    def connectionMade(self):
        self.factory.play.note("made")

    def connectionLost(self, reason):
        self.factory.play.note("lost")


class Play:
    def __init__(self):
        self.clock, self.server, self.transport, self.notes, self.asked = Clock(), "down", None, [], 0
        factory = Factory.forProtocol(Noted)
        factory.play = self
        policy = backoffPolicy(jitter=lambda: 0)
        self.service = ClientService(Endpoint(self), factory, policy, self.clock)

    def note(self, what):
        self.notes.append("%.1f:%s" % (self.clock.seconds(), what))

    def do(self, deed):
        if deed in ("up", "down", "hang"):
            self.server = deed
        elif deed == "drop":
            if self.transport:
                self.transport.lose()
        elif deed == "start":
            self.service.startService()
        elif deed == "stop":
            self.service.stopService().addCallback(lambda _: self.note("stopped"))
        elif deed.startswith("when"):
            name, self.asked = "when%d" % self.asked, self.asked + 1
            waiting = self.service.whenConnected(int(deed[4:]) or None)

            def told(result):
                if not isinstance(result, Failure):
                    self.note(name + "=connected")
                elif result.check(CancelledError):
                    self.note(name + "=cancelled")
                else:
                    self.note(name + "=failed")

            waiting.addBoth(told)

    def play(self, script):
        for word in script.split():
            time, deed = word.split(":")
            # From call to call: a step over several shows each the last time.
            while self.clock.seconds() < float(time):
                due = [call.getTime() for call in self.clock.getDelayedCalls()]
                self.clock.advance(min(due + [float(time)]) - self.clock.seconds())
            self.do(deed)
            self.clock.advance(0)
        return " ".join(self.notes)


for line in sys.stdin:
    print(Play().play(line), flush=True)
