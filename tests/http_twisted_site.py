"""A site in Twisted, and what it answers to requests: one request a line of hexadecimal digits, and likewise the answers."""
import socket
import sys

from twisted.internet import reactor, threads
from twisted.logger import globalLogBeginner
from twisted.web import resource, server, util

globalLogBeginner.beginLoggingTo([], redirectStandardIO=False, discardBuffer=True)


class Leaf(resource.Resource):
    isLeaf = True

    def __init__(self, get=None, post=None):
        resource.Resource.__init__(self)
        if get:
            self.render_GET = lambda request: self.text(request, get)
        if post:
            self.render_POST = lambda request: self.text(request, post)

    def text(self, request, body):
        request.setHeader(b"content-type", b"text/plain; charset=utf-8")
        return body(request)


def later(request):
    def done():
        request.write(b"late")
        request.finish()

    reactor.callLater(0, done)
    return server.NOT_DONE_YET


def fails(request):
    raise RuntimeError("on purpose")


def cookie(request):
    request.addCookie(b"a", b"b")
    return request.getCookie(b"x") or b"none"


def form(request):
    return b"&".join(name + b"=" + b",".join(values) for name, values in sorted(request.args.items()))


def created(request):
    request.setResponseCode(201)
    request.setHeader(b"location", b"/made")
    return b"made"


root, inner = resource.Resource(), resource.Resource()
inner.putChild(b"", Leaf(lambda request: b"inner"))
inner.putChild(b"x", Leaf(lambda request: b"x"))
for name, child in {
    b"": Leaf(lambda request: b"index"),
    b"leaf": Leaf(lambda request: b"/".join(request.postpath)),
    b"inner": inner,
    b"old": util.Redirect(b"/new"),
    b"later": Leaf(later),
    b"fails": Leaf(fails),
    b"cookie": Leaf(cookie),
    b"form": Leaf(post=form),
    b"echo": Leaf(post=lambda request: request.content.read()),
    b"query": Leaf(lambda request: b",".join(request.args.get(b"a", []))),
    b"header": Leaf(lambda request: request.getHeader(b"x-y") or b"none"),
    b"created": Leaf(post=created),
    b"large": Leaf(lambda request: b"x" * 300000),
}.items():
    root.putChild(name, child)


def ask(port, request):
    with socket.create_connection(("127.0.0.1", port), 30) as peer:
        peer.sendall(request)
        answer = b""
        while True:
            piece = peer.recv(65536)
            if not piece:
                return answer
            answer += piece


def main():
    site = server.Site(root)
    site.displayTracebacks = False
    port = reactor.listenTCP(0, site, interface="127.0.0.1").getHost().port
    requests = [bytes.fromhex(line) for line in sys.stdin]
    answering = threads.deferToThread(lambda: [ask(port, request) for request in requests])

    def done(answers):
        print("\n".join(answer.hex() for answer in answers))
        reactor.stop()

    answering.addCallback(done)
    reactor.run()


main()
