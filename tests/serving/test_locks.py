"""Who is let in, and what leaves: keys, tokens, TLS, headers, other sites' pages."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest
import requests

from hub.errors import InputError
from hub.serving.keys import KeyFile
from tests.serving.conftest import ADMIN, Start

PREDICT = "/v1/models/travel:predict"
FIRST, SECOND = "first-key-0123456789", "second-key-0123456789"


def bearer(key: str) -> dict[str, str]:
    """The header with a key."""
    return {"Authorization": f"Bearer {key}"}


def test_keys_are_needed_and_rotated_without_a_restart(
    start: Start, exported: Path, tmp_path: Path, token_file: Path
) -> None:
    keys = tmp_path / "keys"
    keys.write_text(f"# our keys\nmobile-app {FIRST}\n")
    service = start(
        f"travel@1={exported}", "--api-keys", keys, "--admin-token", token_file, "--workers", "1"
    )
    body = {"text": "今天"}
    for path in (PREDICT, "/predict/travel", "/v2/models/travel/infer"):
        refused = service.post(path, body)
        assert refused.status_code == 401 and refused.headers["www-authenticate"] == "Bearer"
    assert service.get("/v1/models").status_code == 401
    assert service.get("/metrics").status_code == 401
    assert service.get("/metrics", headers=ADMIN).status_code == 200
    for path in ("/healthz", "/readyz", "/v2/health/ready", "/", "/docs", "/openapi.json"):
        assert service.get(path).status_code == 200
    page = service.get("/docs").text
    assert "models/travel" not in page and "Authorization: Bearer YOUR_KEY" in page
    assert service.post(PREDICT, body, headers=bearer(FIRST)).status_code == 200
    assert service.post(PREDICT, body, headers={"X-API-Key": FIRST}).status_code == 200
    for wrong in (FIRST[:-1], FIRST + "x", "", "mobile-app", "é" * 20):
        headers = {"X-API-Key": wrong.encode().decode("latin-1")}
        assert service.post(PREDICT, body, headers=headers).status_code == 401
    known = service.wait_for_event("request", status=200)
    assert known.get("caller") == "mobile-app" or "caller" not in known
    assert FIRST not in service.text()
    keys.write_text(f"{FIRST}\n{SECOND}\n")  # both, while callers change over
    time.sleep(1.2)
    assert service.post(PREDICT, body, headers=bearer(SECOND)).status_code == 200
    assert service.post(PREDICT, body, headers=bearer(FIRST)).status_code == 200
    keys.write_text(f"{SECOND}\n")
    time.sleep(1.2)
    assert service.post(PREDICT, body, headers=bearer(FIRST)).status_code == 401
    keys.write_text("")  # half written: the old ones stay
    time.sleep(1.2)
    assert service.post(PREDICT, body, headers=bearer(SECOND)).status_code == 200


def test_the_administration_refuses_without_a_token(start: Start, exported: Path) -> None:
    service = start(f"travel@1={exported}")
    for method, path in (
        ("GET", "/models"),
        ("POST", "/models/travel/versions"),
        ("PUT", "/models/travel/traffic"),
        ("POST", "/models/travel/rollback"),
        ("DELETE", "/models/travel/versions/1"),
        ("POST", "/reload"),
    ):
        answer = service.admin(method, path, {})
        assert answer.status_code == 403 and answer.json()["error"]["code"] == "no_admin"


def test_an_api_key_is_no_admin_token(
    start: Start, exported: Path, tmp_path: Path, token_file: Path
) -> None:
    keys = tmp_path / "keys"
    keys.write_text(FIRST)
    service = start(f"travel@1={exported}", "--api-keys", keys, "--admin-token", token_file)
    assert service.get("/admin/models", headers=bearer(FIRST)).status_code == 401
    assert service.get("/admin/models").status_code == 401
    assert service.get("/admin/models", headers=ADMIN).status_code == 200


def test_other_sites_pages_may_call_only_where_that_is_said(start: Start, exported: Path) -> None:
    origin = {"Origin": "https://bank.example"}
    closed = start(f"travel@1={exported}")
    answer = closed.post(PREDICT, {"text": "今天"}, headers=origin)
    assert "access-control-allow-origin" not in answer.headers
    opened = start(f"travel@1={exported}", "--cors", "https://bank.example")
    answer = opened.post(PREDICT, {"text": "今天"}, headers=origin)
    assert answer.headers["access-control-allow-origin"] == "https://bank.example"
    other = opened.post(PREDICT, {"text": "今天"}, headers={"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in other.headers
    for header in ("content-type", "x-user-id", "x-model-version", "traceparent", "x-api-key"):
        asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": header}
        preflight = opened.session.options(
            opened.address + PREDICT, headers={**origin, **asked}, timeout=5
        )
        assert preflight.status_code == 200, header


def test_tls_by_files(start: Start, exported: Path, tmp_path: Path) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj",
         "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out",
         certificate],
        check=True,
        capture_output=True,
    )  # fmt: skip
    service = start(
        f"travel@1={exported}", "--tls-cert", certificate, "--tls-key", key, scheme="https"
    )
    answer = requests.post(
        service.address + PREDICT, json={"text": "今天"}, verify=str(certificate), timeout=10
    )
    assert answer.status_code == 200
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(service.address + "/healthz", timeout=5)
    bad = start(f"travel@1={exported}", "--tls-cert", key, "--tls-key", certificate, ready=False)
    assert bad.wait(20) == 2 and "TLS files" in bad.text()


def test_every_answer_has_security_headers(travel: object) -> None:
    for path in ("/", "/docs", "/healthz", "/nothing", "/v1/models"):
        answer = travel.get(path)  # type: ignore[attr-defined]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["referrer-policy"] == "no-referrer"
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert "server" not in answer.headers


def test_it_binds_to_this_machine_unless_told(travel: object) -> None:
    import socket

    port = travel.port  # type: ignore[attr-defined]
    rows = Path("/proc/net/tcp").read_text().splitlines()[1:]
    places = [row.split()[1] for row in rows if row.split()[3] == "0A"]
    mine = [place for place in places if int(place.split(":")[1], 16) == port]
    assert mine == [f"{socket.inet_aton('127.0.0.1')[::-1].hex().upper()}:{port:04X}"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "holds no key"),
        ("short", "fewer than 16"),
        ("a b c-0123456789abcdef", "more than a name"),
        ("sha256:12", "64 hexadecimal"),
        (f"{FIRST} #replaced-in-2026-11", "comment behind a key"),
        (f"web {FIRST} # of the web", "comment behind a key"),
    ],
)
def test_a_file_without_usable_keys_is_refused(tmp_path: Path, content: str, says: str) -> None:
    path = tmp_path / "keys"
    path.write_text(content)
    with pytest.raises(InputError, match=says):
        KeyFile(str(path))


def test_the_mark_with_which_windows_begins_a_file_is_no_part_of_a_key(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_bytes(f"\ufeff{FIRST}\r\n".encode())
    assert KeyFile(str(path)).name_of(FIRST) is not None


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_reload_fails_where_a_key_file_is_wrong_and_the_log_says_so(
    start: Start, exported: Path, tmp_path: Path, token_file: Path, workers: str
) -> None:
    """The old keys stay valid: whoever revokes one must learn that it was not taken."""
    keys = tmp_path / "keys"
    keys.write_text(f"{FIRST}\n{SECOND}\n")
    service = start(
        f"travel@1={exported}", "--api-keys", keys, "--admin-token", token_file, "--workers",
        workers,
    )  # fmt: skip
    keys.write_text(f"{SECOND}\nthird short\n")
    answer = service.admin("POST", "/reload")
    assert answer.status_code == 422 and answer.json()["error"]["code"] == "bad_keys"
    assert "fewer than 16 characters" in answer.json()["error"]["message"]
    assert str(tmp_path) not in answer.text and "short" not in answer.text
    assert "fewer than 16" in service.wait_for_event("keys_not_taken", level="error")["reason"]
    assert service.get("/v1/models", headers=bearer(FIRST)).status_code == 200
    keys.write_text(f"{SECOND}\n")
    assert service.admin("POST", "/reload").status_code == 200
    assert service.get("/v1/models", headers=bearer(FIRST)).status_code == 401


def test_a_wrong_key_file_is_told_once_and_taken_when_it_is_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("hub.serving.keys._LOOK_S", 0.0)
    path = tmp_path / "keys"
    path.write_text(FIRST)
    keys = KeyFile(str(path))
    path.write_text(f"{SECOND}\nshort")
    assert keys.name_of(FIRST) and keys.name_of(FIRST) and not keys.name_of(SECOND)
    told = [record for record in caplog.records if record.message == "keys_not_taken"]
    assert len(told) == 1
    path.unlink()
    assert keys.name_of(FIRST)
    path.write_text(f"{SECOND}\n")
    assert keys.name_of(SECOND) and not keys.name_of(FIRST)


def test_a_key_may_be_kept_as_its_digest(tmp_path: Path) -> None:
    import hashlib

    path = tmp_path / "keys"
    path.write_text(f"web sha256:{hashlib.sha256(FIRST.encode()).hexdigest()}\n")
    keys = KeyFile(str(path))
    assert keys.name_of(FIRST) == "web"
    assert keys.name_of(SECOND) is None and keys.name_of(None) is None and keys.name_of("") is None
