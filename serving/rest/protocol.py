"""HTTP for uvicorn whose own complaint, about what is no HTTP at all, is JSON too."""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from penstock.serving.rest.replies import JSON, problem


class JsonErrors(HttpToolsProtocol):
    """Give it to ``uvicorn.Config`` as ``http``."""

    def send_400_response(self, msg: str) -> None:
        """Answer what cannot be read as a request, and close the connection."""
        body = problem(400, msg).body
        head = (
            f"HTTP/1.1 400 Bad Request\r\ncontent-type: {JSON}\r\ncontent-length: {len(body)}\r\n"
            "connection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()
