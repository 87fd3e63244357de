"""An embedded Valkey, for whatever speaks the Redis protocol.

An append-only file, synced each second, keeps its data over restarts: enough, since no truth lives here
(pokes and queues are rebuilt from PostgreSQL). Server processes are as in `process.py`.
"""

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import msgspec
import redis

from rightfit_server.embedded import wheels
from rightfit_server.embedded.account import OURSELVES, hand_over
from rightfit_server.embedded.process import end_leftovers, owned, running, socket_folder

_SOCKET_NAME = "valkey.sock"


class EmbeddedValkey(msgspec.Struct, frozen=True):
    """A running Valkey: where it answers (a `unix://` URL, as redis-py takes it) and which process it is."""

    url: str
    process_id: int


@contextlib.contextmanager
def start_valkey(directory: Path) -> Iterator[EmbeddedValkey]:
    """Run Valkey on `directory` until the block ends.

    Raises:
        EmbeddedError: The wheel is missing, the directory is in use, or the server does not come up.
    """
    program = wheels.valkey_server()
    with owned(directory) as home, socket_folder(home, _SOCKET_NAME) as socket_dir:
        data, socket_path = home / "data", socket_dir / _SOCKET_NAME
        end_leftovers("valkey-server", data, (socket_path,), signal.SIGTERM)
        hand_over(data, OURSELVES)
        hand_over(socket_dir, OURSELVES)
        chosen = {
            "port": "0",
            "unixsocket": str(socket_path),
            "unixsocketperm": "700",
            "dir": str(data),
            "appendonly": "yes",
            "save": "",
        }
        options = [part for name, value in chosen.items() for part in (f"--{name}", value)]
        url = f"unix://{quote(str(socket_path))}"
        with running(
            [str(program), *options],
            home,
            OURSELVES,
            is_ready=lambda _: _is_ready(url),
            ends=(signal.SIGTERM,),
        ) as process_id:
            yield EmbeddedValkey(url=url, process_id=process_id)


def _is_ready(url: str) -> bool:
    with redis.Redis.from_url(url) as client:
        try:
            return bool(client.ping())
        except (redis.ConnectionError, redis.BusyLoadingError):
            return False
