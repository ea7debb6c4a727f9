"""A session keeps connections to the last 10 hosts that it has talked to.

Source: urllib3/urllib3#2100
Environment: current
Packages: requests, urllib3
Kind: bounded
Full: 10
Truth: grows until about step 10, and no further until step 3,634
"""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import requests


class Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_):
        pass


def setup():
    server = ThreadingHTTPServer(("0.0.0.0", 0), Answer)
    Thread(target=server.serve_forever, daemon=True).start()
    session = requests.Session()
    session.trust_env = False
    return session, server.server_port


def step(i, world):
    session, port = world
    return session.get(f"http://127.0.{i % 40}.1:{port}/").text
