"""Streams to a server of the same loop that are used once and not closed."""

import asyncio

from _work import pair

servers = []


async def answer(reader, writer):
    while line := await reader.readline():
        writer.write(line)
    writer.close()


async def acquire(_step, _size):
    if not servers:
        servers.append(await asyncio.start_server(answer, "127.0.0.1", 0))
    address = servers[0].sockets[0].getsockname()
    reader, writer = await asyncio.open_connection(*address)
    writer.write(b"ping\n")
    await reader.readline()
    return writer


scenario = pair(
    acquire,
    lambda writer: writer.close(),
    leaks="sockets",
    units=lambda _: {"fds": 2},
    workloads=[{"pattern": "17th"}, {"pattern": "100th"}],
)
