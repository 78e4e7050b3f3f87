"""The clients of Dask clusters."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from typing import Any

try:
    from dask.distributed import Client, KilledWorker
    from distributed.comm.addressing import get_address_host_port
except ImportError:
    raise ImportError("a Dask cluster needs distributed: pip install 'fastinit-engine[dask]'") from None

from fastinit.checkpoint import BadInput

__all__ = ["connected"]


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """Context with the client of a scheduler.

    BadInput if the address is none. OSError if it doesn't answer, or if a task is lost inside.
    """
    try:
        host, port = get_address_host_port(address)
        if not (host and port):
            raise ValueError
    except (ValueError, KeyError, TypeError):
        raise BadInput(f"{address!r} is no address of a Dask scheduler, such as tcp://host:8786") from None
    try:
        client = Client(address, timeout=10, set_as_default=False)
    except (OSError, ValueError, ImportError) as error:
        raise OSError(0, f"no Dask scheduler answers: {error}", address) from None
    with client:
        try:
            yield client
        except KilledWorker as error:
            raise OSError(0, f"a task was lost with too many workers: {error}", address) from None
        except CancelledError:
            raise OSError(0, "the scheduler lost the tasks", address) from None
