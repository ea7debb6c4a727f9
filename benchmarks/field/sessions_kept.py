"""Each account keeps its HTTP session; the server closes, the client does not.

Source: psf/requests#5002, lexiforest/curl_cffi#665
Environment: current
Packages: requests
Kind: leaky
Rates: fds 1, objects 57
Truth: counted from step 566 to 1,103; also per step: malloc 1,907 B, anonymous 14,431 B
"""

import socket
import threading

import requests

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok"
sessions = {}


def serve(listener):
    while True:
        client, _ = listener.accept()
        with client:
            client.recv(4096)
            client.sendall(ANSWER)


def setup():
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=serve, args=(listener,), daemon=True).start()
    return f"http://127.0.0.1:{listener.getsockname()[1]}/"


def step(i, address):
    sessions[i] = requests.Session()
    sessions[i].trust_env = False
    return sessions[i].get(address).text
