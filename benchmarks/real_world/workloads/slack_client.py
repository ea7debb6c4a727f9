"""slack_sdk: closing a Socket Mode client leaves one of its three threads running."""

from __future__ import annotations

from slack_sdk.socket_mode import SocketModeClient


def step(i: int) -> None:
    SocketModeClient(app_token="xapp-none", ping_interval=0.01).close()
