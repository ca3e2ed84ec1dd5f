"""A hub for tests: what huggingface_hub asks for, from a folder, with faults on request."""

import hashlib
import http.server
import json
import threading
from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class SmallHub(http.server.ThreadingHTTPServer):
    """Serves every folder `org/name` under `root` as a model repository.

    `cut_after` is how many bytes of a large file are sent before the connection breaks, `cuts` how
    often that happens, `damaged` whether one byte of large files is flipped on the way, `requests`
    what was asked for: method, path and Range header.
    """

    daemon_threads = True

    def __init__(self, root: Path):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.root = root
        self.cut_after, self.cuts, self.damaged = 0, 0, False
        self.requests: list[tuple[str, str, str | None]] = []
        self.endpoint = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _Handler(http.server.BaseHTTPRequestHandler):
    server: SmallHub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self._answer(body=False)

    def do_GET(self):
        self._answer(body=True)

    def _answer(self, body):
        self.server.requests.append((self.command, self.path, self.headers.get("Range")))
        parts = self.path.partition("?")[0].strip("/").split("/")
        if parts[:2] == ["api", "models"]:
            folder, question = self.server.root / parts[2] / parts[3], parts[4:]
        else:
            folder, question = self.server.root / parts[0] / parts[1], ["resolve", *parts[4:]]
        if not folder.is_dir():
            return self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"})
        if question[0] == "resolve":
            return self._send_file(folder / question[1], body)
        files = sorted(folder.iterdir())
        if question[0] == "tree":
            return self._send_json([self._tree_entry(path) for path in files])
        siblings = [{"rfilename": path.name} for path in files]
        return self._send_json({"id": "/".join(parts[2:4]), "sha": COMMIT, "siblings": siblings})

    def _tree_entry(self, path):
        content = path.read_bytes()
        entry = {"type": "file", "path": path.name, "size": len(content), "oid": _git(content)}
        if path.suffix == ".safetensors":
            entry["lfs"] = {"oid": _sha256(content), "size": len(content), "pointerSize": 100}
        return entry

    def _send_json(self, value):
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _send_file(self, path, body):
        if not path.exists():
            return self._send(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
        content = path.read_bytes()
        large = path.suffix == ".safetensors"
        etag = _sha256(content) if large else _git(content)
        headers = {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        if large:
            headers |= {"X-Linked-ETag": f'"{etag}"', "X-Linked-Size": str(len(content))}
            if self.server.damaged:
                content = content[:-1] + bytes([content[-1] ^ 1])
        status, total, start = 200, len(content), 0
        if body and (asked := self.headers.get("Range")):
            start = int(asked.removeprefix("bytes=").partition("-")[0])
            status = 206
            headers["Content-Range"] = f"bytes {start}-{total - 1}/{total}"
        content = content[start:]
        cut = body and large and self.server.cuts > 0
        self._send(status, content, headers, body, self.server.cut_after if cut else None)
        if cut:
            self.server.cuts -= 1
            self.close_connection = True

    def _send(self, status, content, headers, body=True, sent=None):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content[:sent])


def _sha256(content):
    return hashlib.sha256(content).hexdigest()


def _git(content):
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
