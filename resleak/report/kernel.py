"""Start the kernel of a notebook so that all that its cells start ends with it."""

from __future__ import annotations

import os
from typing import Any

from jupyter_client.provisioning.local_provisioner import LocalProvisioner

from resleak.harness.spawn import Guarded


class _Process(Guarded):
    """A guarded process with the attributes of `subprocess.Popen` that a provisioner uses."""

    stdin = stdout = stderr = None

    def wait(self, timeout_s: float = 0.0) -> int:
        return super().wait(timeout_s)


class GuardedProvisioner(LocalProvisioner):
    """Starts a kernel under a guardian."""

    process: Any = None
    guarded: _Process | None = None

    async def launch_kernel(self, cmd: list[str], **options: Any) -> Any:
        """Start the kernel and return how to connect to it."""
        # With the variable it does not print how it is to be stopped.
        env = {**options["env"], "JPY_PARENT_PID": str(os.getpid())}
        self.guarded = self.process = _Process(cmd, stdout=1, env=env, cwd=options["cwd"])
        self.pid = self.pgid = self.guarded.pid  # it leads a group of its own
        return self.connection_info

    def end(self) -> None:
        """End the kernel, and all processes that it has started."""
        if self.guarded:
            self.guarded.end()
