"""nginx as a plain proxy with one worker: what a hop costs that governs nothing."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from benchmarks import tools
from benchmarks.children import Child, await_answer, free_port, running

# Connections are kept for the whole run on both sides; answers are not written to disk; events are not held back.
_CONFIGURATION: Final = """\
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{
    worker_connections 4096;
}}
http {{
    access_log off;
    client_body_temp_path {folder}/nginx-body;
    proxy_temp_path {folder}/nginx-proxy;
    fastcgi_temp_path {folder}/nginx-fastcgi;
    uwsgi_temp_path {folder}/nginx-uwsgi;
    scgi_temp_path {folder}/nginx-scgi;
    client_body_buffer_size 1m;
    client_max_body_size 32m;
    tcp_nodelay on;
    keepalive_timeout 1h;
    keepalive_requests 1000000000;
    upstream provider {{
        server 127.0.0.1:{provider};
        keepalive 1024;
        keepalive_timeout 1h;
        keepalive_requests 1000000000;
    }}
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        location / {{
            proxy_pass http://provider;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering {buffering};
            proxy_max_temp_file_size 0;
        }}
    }}
}}
"""


@contextmanager
def proxy(*, provider: int, core: int, folder: Path, streams: bool = False) -> Generator[tuple[Child, int]]:
    """One nginx in front of the provider's port, and its own port. For streams it hands on what comes at once."""
    port = free_port()
    configuration = folder / "nginx.conf"
    buffering = "off" if streams else "on"
    configuration.write_text(_CONFIGURATION.format(folder=folder, provider=provider, port=port, buffering=buffering))
    command: list[str | Path] = [tools.require("nginx")["nginx"], "-p", folder, "-c", configuration, "-e", "stderr"]
    with running("nginx", command, core=core, folder=folder) as child:
        await_answer(child, port, "/count", seconds=10)
        yield child, port
