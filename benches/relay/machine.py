"""The machine: processes pinned to a core, what they cost, and free ports."""

import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
PAGE_MIB = os.sysconf("SC_PAGE_SIZE") / 1024 / 1024


class Failure(Exception):
    """Something without which there is nothing to measure."""


def pinned(core, command):
    """The command, bound to one core."""
    return ["taskset", "--cpu-list", str(core), *map(str, command)]


def free_port():
    """A port of the loopback address that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for(what, condition, seconds=30):
    """Polls until the condition holds, and returns what it gave."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        result = condition()
        if result:
            return result
        time.sleep(0.01)
    raise Failure(f"waited {seconds} s for {what}")


def answers(url):
    """Whether a GET is answered with 200."""
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return response.status == 200
    except (OSError, urllib.error.URLError):
        return False


class Process:
    """A server of this run: pinned, its output in a file, stopped at the end."""

    def __init__(self, name, core, command, folder, environment=None):
        self.name = name
        self.log = Path(folder) / f"{name}.log"
        with open(self.log, "wb") as log:
            self.child = subprocess.Popen(
                pinned(core, command), cwd=folder, env={**os.environ, **(environment or {})}, stdout=log, stderr=log
            )

    def ready(self, url):
        """Waits until it answers; returns after how many seconds."""
        begun = time.monotonic()

        def up():
            if self.child.poll() is not None:
                raise Failure(f"{self.name} ended with {self.child.returncode}:\n{self.log.read_text(errors='replace')[-2000:]}")
            return answers(url)

        wait_for(f"{self.name} to answer", up)
        return time.monotonic() - begun

    def processor_seconds(self):
        """Processor time so far, in user and system mode."""
        user, system = self._stat()[11:13]
        return (int(user) + int(system)) / TICKS_PER_SECOND

    def memory_mib(self):
        """Resident memory."""
        return int(self._stat()[21]) * PAGE_MIB

    def _stat(self):
        text = Path(f"/proc/{self.child.pid}/stat").read_text()
        return text[text.rindex(")") + 2 :].split()

    def stop(self):
        """Asks it to end; returns its exit code. One that does not listen is killed."""
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
            try:
                self.child.wait(timeout=40)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()
        return self.child.returncode
