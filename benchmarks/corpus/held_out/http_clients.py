"""Connections of HTTP clients that are kept alive and forgotten, a server's thread for each."""

import functools
import http.client
import socket
import socketserver
import threading

from _work import pair


class Answering(socketserver.StreamRequestHandler):
    """Answers every request with two bytes, and keeps the connection."""

    def handle(self):
        for line in self.rfile:
            if line == b"\r\n":  # the head of the request ends
                self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


@functools.cache
def address():
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Answering)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address


def acquire(_step, _size):
    client = http.client.HTTPConnection(*address())
    client.request("GET", "/")
    client.getresponse().read()
    return client


def release(client):
    client.sock.shutdown(socket.SHUT_WR)
    client.sock.recv(1)  # until the server has closed its end
    client.close()


scenario = pair(
    acquire,
    release,
    leaks="sockets",
    units=lambda _: {"fds": 2, "threads": 1},
    workloads=[{"pattern": "17th"}, {"pattern": "100th"}],
)
