"""`rightfit up`: data, keys and tokens survive; one signal ends everything; what cannot work says why."""

import http.client
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import psutil
import psycopg
import pytest

from rightfit_server.data_directory import DataDirectoryError, open_data_directory
from rightfit_server.demo.stack import Stack, StackError
from rightfit_server.embedded.postgres import EmbeddedPostgres
from rightfit_server.operations.devices import enter_device
from rightfit_server.postgres.administration import create_tenant
from rightfit_server.postgres.migrate import APP_ROLE

pytestmark = pytest.mark.xdist_group("end_to_end")


class Device:
    """A device at the level of HTTP, on one connection that stays open."""

    def __init__(self, stack: Stack, token: str) -> None:
        self.connection = http.client.HTTPConnection(*stack.address, timeout=70)
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._cursor: str | None = None

    def ask(self, wait: int = 0) -> None:
        """Send a request whole; it is in the server's hands when this returns."""
        body = {"protocol_version": 1, "schema_version": 1, "cursor": self._cursor}
        self.connection.request("POST", f"/v1/sync?wait={wait}", json.dumps(body), self._headers)

    def hear(self) -> int:
        """Read the answer and return its status."""
        answer = self.connection.getresponse()
        message = json.loads(answer.read())
        self._cursor = message.get("page", {}).get("cursor")
        return answer.status


def pull(stack: Stack, token: str) -> int:
    device = Device(stack, token)
    with closing(device.connection):
        device.ask()
        return device.hear()


def ready(stack: Stack) -> int:
    return httpx.get(f"{stack.url}/health/ready", trust_env=False).status_code


@pytest.fixture(scope="module")
def token(stack: Stack) -> str:
    with stack.connect() as connection:
        create_tenant(connection, "up")
    return enter_device(stack.database(), "up", "office", ["landlord"]).token


def test_it_answers_and_says_where(stack: Stack, token: str) -> None:
    assert ready(stack) == 200
    assert pull(stack, token) == 200


def test_secrets_are_for_the_owner_alone(stack: Stack) -> None:
    for name in ("signing-keys", "running.json", "format.json"):
        assert (stack.directory / name).stat().st_mode & 0o777 == 0o600


def test_data_keys_and_tokens_survive_a_restart(stack: Stack, token: str) -> None:
    keys = (stack.directory / "signing-keys").read_text()
    assert stack.end() == 0
    stack.start()
    assert (stack.directory / "signing-keys").read_text() == keys
    assert pull(stack, token) == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_one_signal_wakes_who_waits_and_ends_every_process(
    stack: Stack, token: str, number: signal.Signals
) -> None:
    device = Device(stack, token)
    family = [psutil.Process(stack.process_id), *psutil.Process(stack.process_id).children(recursive=True)]
    assert len(family) > 3, "API, PostgreSQL with its workers, Valkey"
    with closing(device.connection):
        device.ask()
        assert device.hear() == 200
        device.ask(wait=50)
        stack.send(number)
        assert device.hear() == 200
    assert stack.wait() == 0
    _, alive = psutil.wait_procs(family, timeout=10)
    assert not alive
    assert not (stack.directory / "running.json").exists()
    stack.start()


def test_a_second_one_on_the_same_directory_is_refused(stack: Stack) -> None:
    with pytest.raises(StackError, match=r"runs on .* already"):
        Stack(stack.directory).start()


def test_a_port_that_is_taken_is_named(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        other = Stack(folder / "taken")
        other.url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(StackError, match="cannot be listened on"):
            other.start()


def test_a_directory_of_a_newer_release_is_refused(tmp_path: Path) -> None:
    open_data_directory(tmp_path / "data")
    (tmp_path / "data/format.json").write_text('{"data_format": 99}')
    with pytest.raises(DataDirectoryError, match="newer release"):
        open_data_directory(tmp_path / "data")


def test_a_directory_that_holds_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").touch()
    with pytest.raises(DataDirectoryError, match="something else"):
        open_data_directory(tmp_path)
    (tmp_path / "photo.jpg").unlink()
    (tmp_path / "format.json").write_text("{")
    with pytest.raises(DataDirectoryError, match="damaged"):
        open_data_directory(tmp_path)


def test_a_process_that_has_the_number_of_a_former_one_is_not_taken_for_it(tmp_path: Path) -> None:
    directory = open_data_directory(tmp_path)
    directory.note_running("http://127.0.0.1:1", "postgresql://", "")
    assert directory.running() is not None
    mark = tmp_path / "running.json"
    mark.write_text(json.dumps({**json.loads(mark.read_text()), "started_at": 1.0}))
    assert directory.running() is None


@pytest.fixture(scope="module")
def elsewhere(folder: Path, postgres_server: EmbeddedPostgres) -> Iterator[Stack]:
    """A stack on a PostgreSQL of somebody else's."""
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE elsewhere")
    urls = ("--database-url", postgres_server.url_for("elsewhere", APP_ROLE))
    owner = ("--database-owner-url", postgres_server.url_for("elsewhere"))
    with Stack(folder / "elsewhere", *urls, *owner) as running:
        yield running


def test_urls_take_the_place_of_the_embedded_servers(elsewhere: Stack) -> None:
    assert ready(elsewhere) == 200
    assert not (elsewhere.directory / "postgres").exists()


def test_one_url_without_the_other_is_refused(folder: Path) -> None:
    with pytest.raises(StackError, match="RIGHTFIT_DATABASE_OWNER_URL is empty"):
        Stack(folder / "half", "--database-url", "postgresql:///nowhere").start()
    with pytest.raises(StackError, match="RIGHTFIT_DATABASE_URL is not"):
        Stack(folder / "half", "--database-owner-url", "postgresql:///nowhere").start()


def test_a_signal_while_it_starts_leaves_nothing_behind(folder: Path) -> None:
    directory = folder / "early"
    command = [sys.executable, "-m", "rightfit_server", "up", "--data-dir", str(directory), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    family: list[psutil.Process] = []
    while not family:
        # As soon as it has started something of its own, a database that is being made.
        family = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=60)
    assert (process.returncode, output) == (0, b"")
    left = [
        one
        for one in psutil.process_iter(["cmdline"])
        if str(directory) in " ".join(one.info["cmdline"] or [])
    ]
    assert not left
