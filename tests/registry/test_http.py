"""Redirects, tokens, certificates and proxies: what is sent to whom."""

from __future__ import annotations

import datetime
import ipaddress
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.errors import DownloadError
from hub.registry.http import Client, public_url
from tests.servers import Fault, FileServer

TOKEN = "hf_very-secret"


@pytest.fixture
def server() -> Iterator[FileServer]:
    with FileServer({"file": b"content", "deep/file": b"deep"}) as running:
        yield running


@pytest.fixture
def other() -> Iterator[FileServer]:
    with FileServer({"file": b"elsewhere"}) as running:
        yield running


def read(client: Client, url: str) -> bytes:
    return client.read(url)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("location", ["/deep/file", "deep/file", "{url}/deep/file"])
def test_a_redirect_is_followed(server: FileServer, status: int, location: str) -> None:
    server.fail("file", Fault(status=status, headers={"Location": location.format(url=server.url)}))
    with Client() as client:
        assert read(client, f"{server.url}/file") == b"deep"


def test_the_token_stays_with_its_server(server: FileServer, other: FileServer) -> None:
    server.fail("file", Fault(status=302, headers={"Location": f"{server.url}/deep/file"}))
    server.fail("deep/file", Fault(status=302, headers={"Location": f"{other.url}/file"}))
    other.fail("file", Fault(status=302, headers={"Location": f"{server.url}/back"}))
    server.files["back"] = b"back"
    with Client(TOKEN) as client:
        assert read(client, f"{server.url}/file") == b"back"
    sent = [(r.path, r.headers.get("authorization")) for r in server.requests]
    bearer = f"Bearer {TOKEN}"
    assert sent == [("/file", bearer), ("/deep/file", bearer), ("/back", bearer)]
    assert "authorization" not in other.requests[0].headers
    assert TOKEN not in str(other.requests[0].headers)


def test_a_netrc_file_does_not_displace_the_token(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password other\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with Client(TOKEN) as client:
        read(client, f"{server.url}/file")
    assert server.requests[0].headers["authorization"] == f"Bearer {TOKEN}"


def test_a_circle_ends(server: FileServer) -> None:
    server.fail("file", *[Fault(status=302, headers={"Location": "/file"})] * 50)
    with Client() as client, pytest.raises(DownloadError, match="circle"):
        read(client, f"{server.url}/file")
    assert len(server.requests) < 15


@pytest.mark.parametrize("location", ["ftp://example.org/file", "file:///etc/passwd"])
def test_a_redirect_to_something_else_is_refused(server: FileServer, location: str) -> None:
    server.fail("file", Fault(status=302, headers={"Location": location}))
    with Client() as client, pytest.raises(DownloadError, match="not followed"):
        read(client, f"{server.url}/file")


def test_secrets_stand_in_no_message(
    server: FileServer, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG, logger="hub")
    host = server.url.removeprefix("http://")
    addresses = [
        f"http://me:password@{host}/nothing?signature=sign",
        f"http://me:password@{host.replace(host.split(':')[1], '1')}/file?signature=sign",
    ]
    server.fail("loop", *[Fault(status=302, headers={"Location": "/loop?signature=sign"})] * 20)
    for url in [*addresses, f"{server.url}/loop?signature=sign"]:
        with Client(TOKEN, attempts=1) as client, pytest.raises(DownloadError) as caught:
            read(client, url)
        for secret in (TOKEN, "password", "sign"):
            assert secret not in str(caught.value).replace("signature", "")
    shown = caplog.text + "".join(capfd.readouterr())
    assert TOKEN not in shown and "password" not in shown


def test_a_public_address_has_no_secrets() -> None:
    assert public_url("https://u:p@h.org:8/a/b?x=y#z") == "https://h.org:8/a/b"


# --- TLS -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that its own key signed."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a company's own")])
    now = datetime.datetime.now(datetime.timezone.utc)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return folder / "cert.pem", folder / "key.pem"


def test_a_companys_certificate_is_trusted_when_it_is_named(
    certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with FileServer({"file": b"content"}, tls=certificate) as server:
        with Client() as client, pytest.raises(DownloadError, match="REQUESTS_CA_BUNDLE"):
            read(client, f"{server.url}/file")
        assert server.requests == []  # nothing was asked of a server that is not trusted
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate[0]))
        with Client() as client:
            assert read(client, f"{server.url}/file") == b"content"


def test_https_is_never_left(
    certificate: tuple[Path, Path], server: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate[0]))
    with FileServer({}, tls=certificate) as secure, Client() as client:
        secure.fail("file", Fault(status=302, headers={"Location": f"{server.url}/file"}))
        with pytest.raises(DownloadError, match="not encrypted"):
            read(client, f"{secure.url}/file")
    assert server.requests == []


def test_a_server_without_tls_is_said_to_have_none(server: FileServer) -> None:
    with Client() as client, pytest.raises(DownloadError, match="does not speak TLS"):
        read(client, server.url.replace("http:", "https:") + "/file")


# --- proxies -------------------------------------------------------------------------------------


def test_a_proxy_is_gone_through(server: FileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", server.url)
    with Client() as client:
        assert read(client, "http://models.example/file") == b"content"
    assert server.requests[0].headers["host"] == "models.example"


def test_no_proxy_is_obeyed(
    server: FileServer, other: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server.url)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Client() as client:
        assert read(client, f"{other.url}/file") == b"elsewhere"
    assert server.requests == []


def test_a_dead_proxy_is_named_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://me:password@127.0.0.1:1")
    with Client(attempts=1) as client, pytest.raises(DownloadError) as caught:
        read(client, "http://models.example/file")
    assert "the proxy http://127.0.0.1:1" in str(caught.value)
    assert "password" not in str(caught.value)
