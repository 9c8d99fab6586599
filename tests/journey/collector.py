"""A collector that keeps what it is sent by OTLP over HTTP."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span


@dataclass
class Collector:
    """Spans, in the order of their arrival."""

    address: str = ""
    spans: list[tuple[str, Span]] = field(default_factory=list[tuple[str, Span]])
    """With the name of the service."""

    requests: list[ExportTraceServiceRequest] = field(default_factory=list[ExportTraceServiceRequest])
    headers: dict[str, str] = field(default_factory=dict[str, str])
    """Of the last delivery."""

    def take(self, body: bytes, headers: Mapping[str, str]) -> None:
        """One delivery."""
        self.headers = {name.lower(): value for name, value in headers.items()}
        plain = gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body
        request = ExportTraceServiceRequest.FromString(plain)
        self.requests.append(request)
        for each in request.resource_spans:
            service = next(fact.value.string_value for fact in each.resource.attributes if fact.key == "service.name")
            self.spans += [(service, span) for scope in each.scope_spans for span in scope.spans]

    def of(self, trace_id: str) -> Iterator[tuple[str, Span]]:
        """The spans of one trace, by the beginning."""
        ours = [each for each in list(self.spans) if each[1].trace_id.hex() == trace_id]
        return iter(sorted(ours, key=lambda each: each[1].start_time_unix_nano))


@contextmanager
def collecting() -> Generator[Collector]:
    """A collector on a free port of this machine, for as long as the block."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            collector.take(self.rfile.read(int(self.headers["Content-Length"])), dict(self.headers))
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Nobody reads it."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        collector.address = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield collector
        finally:
            server.shutdown()
            thread.join()
