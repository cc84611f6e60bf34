"""The web server: uvicorn on a socket that the supervisor has opened.

    python -m nasweb.server FILE_DESCRIPTOR

The socket stays open over restarts of this process: a browser that comes meanwhile waits instead of being refused.
(uvicorn's own ``--fd`` takes every descriptor for a unix socket, and so never switches Nagle's delay off.)
"""

import socket
import sys

import uvicorn


def main(descriptor: int) -> None:
    """Serve until told to stop by SIGTERM."""
    listener = socket.socket(fileno=descriptor)
    config = uvicorn.Config(
        "nasweb.asgi:application",
        timeout_graceful_shutdown=2,
        ws_max_size=65536,
        ws_ping_interval=20,
        ws_ping_timeout=20,
        lifespan="off",
        access_log=False,  # one-time login links would stand in it
        log_config=None,
        server_header=False,
        # Headers that name the client are believed from a proxy on this machine only.
        proxy_headers=True,
        forwarded_allow_ips="127.0.0.1",
    )
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main(int(sys.argv[1]))
