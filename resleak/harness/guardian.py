"""Start a command and end it with all its descendants, also after a kill of the process that asked.

Run as a script (see `spawn.Guarded`), isolated, with the standard library alone. On Linux it is the
subreaper of the command: whatever the command starts stays its descendant, in any session. There a
second guardian watches the first, which the command could stop or kill.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress

#: Seconds that what the command leaves behind may take to end by itself.
_GRACE_S = 1.0
#: Seconds for helpers that remove what their owner left behind, once their owner is gone.
_HELPERS_S = 10.0
_HELPERS = (b"resource_tracker", b"semaphore_tracker", b"torch_shm_manager")
_KILL_S, _POLL_S, _PARENT_S = 5.0, 0.02, 1.0
#: Indices of group and flags in /proc/PID/stat after the name, and the flag PF_EXITING.
_GROUP, _FLAGS, _EXITING = 2, 6, 0x4
_SET_PARENT_DEATH_SIGNAL, _SET_CHILD_SUBREAPER = 1, 36


def _prctl(option: int, value: int) -> None:
    if sys.platform != "linux":
        return
    with suppress(ImportError, OSError):
        import ctypes

        ctypes.CDLL(None).prctl(option, value)


class Guardian:
    """The command, its exit code, and what is left of its descendants."""

    def __init__(self, command: list[str], report: int, inherited: Iterable[int]) -> None:
        self._report = report
        self._code = None if command else 0
        self._has_proc = os.path.exists("/proc/self/stat")
        self._groups: set[int] = set()
        self.pid = self._start(command) if command else 0
        for number in inherited:  # else the command's end of a pipe would outlive the command
            os.close(number)
        if command:
            self.tell(f"pid {self.pid}")

    def _start(self, command: list[str]) -> int:
        problem, failed = os.pipe()
        me, child = os.getpid(), os.fork()
        if child:
            os.close(failed)
            if number := os.read(problem, 32):
                self.tell(f"error {number.decode()}")
                os._exit(1)
            os.close(problem)
            return child
        try:
            os.setsid()
            for name in ("SIGPIPE", "SIGXFSZ"):  # which this interpreter ignores
                signal.signal(getattr(signal, name), signal.SIG_DFL)
            _prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
            if os.getppid() == me:
                os.execvp(command[0], command)
        except OSError as error:
            os.write(failed, str(error.errno).encode())
        finally:
            os._exit(127)

    def tell(self, line: str) -> None:
        """Write a line to the process that asked, if it is still there."""
        with suppress(OSError):
            os.write(self._report, f"{line}\n".encode(errors="replace"))

    def reap(self) -> bool:
        """Collect ended children; True while the command itself runs."""
        self._has_children = False
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                if ended[0] == self.pid:
                    self._code = os.waitstatus_to_exitcode(ended[1])
                    self.tell(f"exit {self._code}")
            self._has_children = True
        return self._code is None

    def end(self, patience_s: float) -> None:
        """End the command, let helpers clean up, then kill what is left."""
        if self.reap():
            if patience_s:
                os.kill(self.pid, signal.SIGTERM)
                self._until(lambda: not self.reap(), patience_s)
            if self.reap():
                os.kill(self.pid, signal.SIGKILL)
        self._until(lambda: not self._others(), _GRACE_S)
        self._kill(self._others)
        self._until(lambda: not self._descendants(), _HELPERS_S)
        self._kill(self._descendants, is_last=True)

    def watch(self, guardian: int, parent: int) -> None:
        """Continue a guardian that is stopped; kill what is left once it has ended."""
        signals = {signal.SIGCHLD, signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
        signal.pthread_sigmask(signal.SIG_BLOCK, signals)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # ignored, it would reap by itself
        while True:
            pid, status = os.waitpid(guardian, os.WNOHANG | os.WUNTRACED)
            if pid and not os.WIFSTOPPED(status):
                return self._kill(self._descendants, is_last=True)
            if pid:
                os.kill(guardian, signal.SIGCONT)
            elif os.getppid() != parent:
                os.kill(guardian, signal.SIGTERM)
            taken = signal.sigtimedwait(signals, _PARENT_S)
            if taken and taken.si_signo != signal.SIGCHLD:
                os.kill(guardian, taken.si_signo)

    def _until(self, holds: Callable[[], bool], seconds: float) -> None:
        until = time.monotonic() + seconds
        while not holds() and time.monotonic() < until:
            time.sleep(_POLL_S)

    def _kill(self, which: Callable[[], list[int]], *, is_last: bool = False) -> None:
        for pid in which():
            name = self._read(pid, "comm").decode(errors="replace").strip()
            self.tell(f"left {name or 'process of unknown name'}")

        def gone() -> bool:
            pids = which()
            # A chain of forks outruns a list of processes, but not a signal to their group.
            for pid in [*pids, *(-group for group in self._groups if is_last)]:
                with suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            return not pids and not self.reap() and not (is_last and self._has_children)

        self._until(gone, _KILL_S)  # again and again: they may start others meanwhile

    def _others(self) -> list[int]:
        """Return the descendants that are not helpers."""
        named = [(pid, self._read(pid, "cmdline")) for pid in self._descendants()]
        # An exiting process has no command line, so it cannot be told from a helper.
        named = [(pid, line) for pid, line in named if line or not self._is_ending(pid)]
        return [pid for pid, line in named if not any(helper in line for helper in _HELPERS)]

    def _is_ending(self, pid: int) -> bool:
        fields = self._fields(pid)
        return not fields or bool(int(fields[_FLAGS]) & _EXITING)

    def _fields(self, pid: int) -> list[bytes]:
        """Return the fields of /proc/PID/stat after the name, which may hold any character."""
        return self._read(pid, "stat").rpartition(b")")[2].split()

    def _descendants(self) -> list[int]:
        """Return all living descendants; without /proc, the command's group as one number."""
        self.reap()
        if not self._has_proc:
            try:
                os.killpg(self.pid, 0)
            except OSError:
                return []
            return [-self.pid]
        self._groups = set()
        if not self._has_children:  # orphans would be ours: no need to search
            return []
        children: dict[int, list[int]] = {}
        group_by_pid: dict[int, int] = {}
        ended: set[int] = set()
        for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
            if fields := self._fields(pid):
                children.setdefault(int(fields[1]), []).append(pid)  # of its parent
                group_by_pid[pid] = int(fields[_GROUP])
                if fields[0] in (b"Z", b"X"):
                    ended.add(pid)
        # One that has ended keeps its children until its last thread has ended, too.
        pids = children.get(os.getpid(), [])
        for pid in pids:
            pids.extend(children.get(pid, ()))
        # Numbers below 2 stand for no group, or for every process.
        self._groups = {group for pid in pids if (group := group_by_pid[pid]) > 1} - {os.getpgrp()}
        return [pid for pid in pids if pid not in ended]

    def _read(self, pid: int, name: str) -> bytes:
        try:
            with open(f"/proc/{pid}/{name}", "rb") as file:
                return file.read()
        except OSError:
            return b""


def main() -> None:
    """Guard the command in the arguments until the other end of `life` is closed."""
    life, report, patience_s = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    inherited = [int(number) for number in sys.argv[4].split(",") if number]
    parent = os.getppid()
    _prctl(_SET_CHILD_SUBREAPER, 1)
    if sys.platform == "linux":
        watcher = os.getpid()
        if guardian_pid := os.fork():
            return Guardian([], report, inherited).watch(guardian_pid, parent)
        os.setsid()
        parent = watcher
        _prctl(_SET_CHILD_SUBREAPER, 1)  # a fork does not inherit it
    wake, waker = os.pipe()
    os.set_blocking(wake, False)
    os.set_blocking(waker, False)
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    signals: list[int] = []
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name)
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda number, _frame: signals.append(number))
    signal.signal(signal.SIGCHLD, lambda *_: None)
    for number in (life, report):
        os.set_inheritable(number, False)
    guardian = Guardian(sys.argv[5:], report, inherited)
    poll = select.poll()  # takes any number; `select` none from 1,024 on
    for number in (life, wake):
        poll.register(number, select.POLLIN)
    ready: list[int] = []
    while life not in ready and not signals and os.getppid() == parent:
        guardian.reap()
        ready = [number for number, _ in poll.poll(_PARENT_S * 1000)]
        if wake in ready:
            os.read(wake, 4096)
    guardian.end(patience_s)


if __name__ == "__main__":
    main()
