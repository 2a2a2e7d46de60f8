"""The server process: a socket, and uvicorn on it."""

import contextlib
import socket
import sys

import uvicorn
from fastapi import FastAPI

from realnet.errors import UserError

_SWITCH_SECONDS = 0.0005


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; UserError, before models are loaded, for an address that is not ours or a port in use."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind((host, port))
        opened.listen(256)
    except OSError as error:
        opened.close()
        raise UserError(
            f"Cannot listen on {host}, port {port}: {error.strerror or error}. Choose another --port or --host."
        ) from error
    return opened


def run(app: FastAPI, opened: socket.socket) -> None:
    """Serve ``app`` until Ctrl-C or SIGTERM; requests under way are finished, for ten seconds at most."""
    # A network's threads ask for the interpreter before every operation: for 5 ms, as is usual, they wait too long.
    sys.setswitchinterval(_SWITCH_SECONDS)
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=10,
        timeout_keep_alive=30,
    )
    # Once it has ended, uvicorn raises the signal that ended it anew; Ctrl-C is how a server is meant to be ended.
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[opened])
