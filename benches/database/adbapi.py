"""Twisted's adbapi on sqlite3: for each kind of call a line with its seconds, of the clock and of the processor."""
import sys
import time

from twisted.enterprise import adbapi
from twisted.internet import defer, reactor, task

file, calls, callers = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])


def prepare(connection):
    connection.execute("pragma journal_mode = wal")
    connection.execute("pragma synchronous = off")


pool = adbapi.ConnectionPool("sqlite3", file, check_same_thread=False, cp_openfun=prepare)


def fill(transaction):
    transaction.execute("create table poems (id integer primary key, title text, reads integer)")
    for n in range(100):
        transaction.execute("insert into poems values (?, 'Ozymandias', 0)", (n,))


def interact(transaction, n):
    # Not deferred: with five that read first and write then, it fails for all but one.
    transaction.execute("begin immediate")
    transaction.execute("select reads from poems where id = ?", (n,))
    reads = transaction.fetchone()[0]
    transaction.execute("update poems set reads = ? where id = ?", (reads + 1, n))


KINDS = [
    lambda n: pool.runQuery("select title from poems where id = ?", (n,)),
    lambda n: pool.runOperation("update poems set reads = reads + 1 where id = ?", (n,)),
    lambda n: pool.runInteraction(interact, n),
]


async def caller(call, number):
    for n in range(calls // callers):
        await call((n * callers + number) % 100)


async def main():
    await pool.runInteraction(fill)
    for call in KINDS:
        began, before = time.perf_counter(), time.process_time()
        each = [defer.ensureDeferred(caller(call, number)) for number in range(callers)]
        await defer.gatherResults(each)
        print(time.perf_counter() - began, time.process_time() - before, flush=True)


task.react(lambda _: defer.ensureDeferred(main()))
