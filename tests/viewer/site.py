"""OHIF as published and Orthanc's DICOMweb under one origin on loopback, as a hospital's proxy would give them."""

import http.client
import mimetypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

APP_CONFIG = b"""
window.config = {
  routerBasename: '/',
  extensions: [],
  modes: [],
  showStudyList: true,
  showWarningMessageForCrossOrigin: false,
  showCPUFallbackMessage: false,
  showLoadingIndicator: true,
  maxNumberOfWebWorkers: 2,
  defaultDataSourceName: 'pacs',
  dataSources: [{
    namespace: '@ohif/extension-default.dataSourcesModule.dicomweb',
    sourceName: 'pacs',
    configuration: {
      friendlyName: 'PACS',
      name: 'PACS',
      qidoRoot: '/dicom-web',
      wadoRoot: '/dicom-web',
      wadoUriRoot: '/wado',
      qidoSupportsIncludeField: false,
      imageRendering: 'wadors',
      thumbnailRendering: 'wadors',
      enableStudyLazyLoad: true,
      supportsFuzzyMatching: false,
      supportsWildcard: true,
      omitQuotationForMultipartRequest: true,
    },
  }],
};
"""
TO_ORTHANC = ("/dicom-web", "/wado")


@contextmanager
def viewer(app: Path, orthanc_http_port: int) -> Iterator[str]:
    """Serve OHIF's `dist` folder in front of Orthanc; gives the address."""
    app = app.resolve()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.split("?")[0]
            if path.startswith(TO_ORTHANC):
                self._forward()
            elif path == "/app-config.js":
                self._answer(200, "text/javascript", APP_CONFIG)
            else:
                self._file(app / path.lstrip("/"))

        def _file(self, path: Path) -> None:
            if not (path.is_file() and path.resolve().is_relative_to(app)):
                path = app / "index.html"  # the address of a page inside the viewer
            kind = {".wasm": "application/wasm", ".js": "text/javascript"}.get(path.suffix)
            self._answer(
                200, kind or mimetypes.guess_type(path.name)[0] or "application/octet-stream", path.read_bytes()
            )

        def _forward(self) -> None:
            connection = http.client.HTTPConnection("127.0.0.1", orthanc_http_port, timeout=60)
            try:
                accept = self.headers.get("Accept", "*/*")
                connection.request("GET", self.path, headers={"Accept": accept, "Host": self.headers["Host"]})
                response = connection.getresponse()
                self._answer(response.status, response.headers.get("Content-Type", ""), response.read())
            finally:
                connection.close()

        def _answer(self, status: int, kind: str, content: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Cross-Origin-Opener-Policy", "same-origin")
            self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
