"""Whether Kafka can be reached at all: asked from outside the clients, which hide an outage behind their retries."""

import socket
from collections.abc import Callable, Sequence

_TIMEOUT_SECONDS = 1.0


def addresses(bootstrap_servers: str) -> list[tuple[str, int]]:
    """Return host and port of each server of `host:port,[::1]:port,…`; what has no port is passed over."""
    pairs = (server.strip().rpartition(":") for server in bootstrap_servers.split(","))
    return [(host.strip("[]"), int(port)) for host, _, port in pairs if host and port.isdecimal()]


def reachable(servers: Sequence[tuple[str, int]], timeout_seconds: float = _TIMEOUT_SECONDS) -> bool:
    """Return whether any of these servers takes a connection."""
    return any(_answers(server, timeout_seconds) for server in servers)


def _answers(server: tuple[str, int], timeout_seconds: float) -> bool:
    try:
        socket.create_connection(server, timeout=timeout_seconds).close()
    except OSError:
        return False
    return True


def broker_probe(bootstrap_servers: str) -> Callable[[], bool]:
    """Return a function that says whether any of `bootstrap_servers` takes a connection now."""
    servers = addresses(bootstrap_servers)
    return lambda: reachable(servers)
