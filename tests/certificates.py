"""Certificate authorities, and certificates of theirs for a server on loopback."""

import ssl
import subprocess
from pathlib import Path


class Authorities:
    """Two certificate authorities, and a certificate of each."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        for name in ("ours", "other"):
            self._make("req", "-x509", "-days", "2", "-subj", f"/CN={name}", key=name, out=name)
            place = ("-addext", "subjectAltName=IP:127.0.0.1")
            request = ("req", "-subj", "/CN=node", *place)
            self._make(*request, key=f"{name}-node", out=f"{name}-request")
            signed = ("-CA", self.file(name), "-CAkey", self.file(name, "key"), "-CAcreateserial")
            how = ("-req", "-in", self.file(f"{name}-request"), "-copy_extensions", "copy")
            self._call("x509", *how, *signed, "-days", "2", "-out", self.file(f"{name}-node"))

    def file(self, name: str, kind: str = "pem") -> str:
        """A certificate, or its `key`: of an authority, or of its `-node`."""
        return str(self._folder / f"{name}.{kind}")

    def server(self, name: str) -> ssl.SSLContext:
        """What a server shows the certificate of an authority with."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.file(f"{name}-node"), self.file(f"{name}-node", "key"))
        return context

    def _make(self, *command: str, key: str, out: str) -> None:
        curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
        files = ("-keyout", self.file(key, "key"), "-out", self.file(out))
        self._call(*command, *curve, *files)

    def _call(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], check=True, capture_output=True, timeout=30)
