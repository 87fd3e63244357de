"""The stack as a process: `rightfit up` on a directory, watched from outside as an operator would."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import psycopg

from rightfit_server.data_directory import DataDirectory
from rightfit_server.operations.database import Database
from rightfit_sync.errors import RightFitError

END_SECONDS = 60
"""How long a clean end may take."""


class StackError(RightFitError):
    """The stack did not come up; the message holds the end of its log."""


class Stack:
    """A `rightfit up` of our own. As a context manager it is up inside the block and has ended after it."""

    def __init__(self, directory: Path, *arguments: str) -> None:
        self.directory = directory
        self.log = directory.with_name(directory.name + ".log")
        self._arguments = arguments
        self._process: subprocess.Popen[str] | None = None
        self.url = ""
        self.owner_url = ""

    def start(self) -> None:
        """Start it and wait until it answers. Raises `StackError` where it ends instead."""
        port = str(urlsplit(self.url).port) if self.url else "0"
        command = [sys.executable, "-m", "rightfit_server", "up", "--json"]
        command += ["--data-dir", str(self.directory), "--port", port, *self._arguments]
        with self.log.open("a", encoding="utf-8") as log:
            # A session of its own, so that a Ctrl-C at the terminal reaches it through us, once.
            self._process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True
            )
        line = self._process.stdout.readline() if self._process.stdout is not None else ""
        if not line:
            code = self.wait()
            end = self.log.read_text(encoding="utf-8")[-2_000:]
            raise StackError(f"`rightfit up` ended with exit code {code}: {end}")
        ready = json.loads(line)
        self.url, self.owner_url = ready["url"], ready["database_owner_url"]

    @property
    def process_id(self) -> int:
        """The process that serves the API."""
        return self._running().pid

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of the API."""
        parts = urlsplit(self.url)
        return parts.hostname or "127.0.0.1", parts.port or 0

    def database(self) -> Database:
        """Return the database, as commands know it."""
        return Database(self.owner_url, "", DataDirectory(self.directory))

    def connect(self) -> psycopg.Connection:
        """Return a connection of the owner, who sees everything."""
        return psycopg.connect(self.owner_url)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process."""
        self._running().send_signal(number)

    def wait(self) -> int:
        """Wait for its end and return the exit code."""
        process = self._running()
        code = process.wait(END_SECONDS)
        if process.stdout is not None:
            process.stdout.close()
        self._process = None
        return code

    def end(self) -> int:
        """End it cleanly and return the exit code; 0 if it has ended already."""
        if self._process is None:
            return 0
        self.send(signal.SIGTERM)
        return self.wait()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None:
            raise StackError("it is not running")
        return self._process
