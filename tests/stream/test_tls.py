"""HTTPS: both ends of a real connection, and words for files that can not be used."""

from __future__ import annotations

import asyncio
import json
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from websockets.asyncio.client import connect

from core import Unavailable
from server import Settings, VoiceSettings, listen, serve
from stream.tls import check_certificate


def self_signed(folder: Path, name: str, passphrase: bytes | None = None) -> tuple[Path, Path]:
    """A certificate for localhost that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    who = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(who)
        .issuer_name(who)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate, secret = folder / f"{name}.crt", folder / f"{name}.key"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(passphrase)
            if passphrase
            else serialization.NoEncryption(),
        )
    )
    return certificate, secret


def test_files_that_belong_together_are_taken(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path, "a")
    check_certificate(certificate, key)
    both = tmp_path / "both.pem"
    both.write_bytes(certificate.read_bytes() + key.read_bytes())
    check_certificate(both, None)


def test_what_is_wrong_with_a_file_is_said(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path, "a")
    _, other = self_signed(tmp_path, "b")
    locked, locked_key = self_signed(tmp_path, "c", passphrase=b"sesame")
    note = tmp_path / "note.txt"
    note.write_text("this is no PEM")
    for files, words in [
        ((tmp_path / "none.crt", key), "tls_certificate: .*none.crt can not be read"),
        ((certificate, tmp_path / "none.key"), "tls_key: .*none.key can not be read"),
        ((certificate, other), "tls_key: .*b.key is not the key of"),
        ((certificate, None), "not a PEM"),
        ((note, key), "not a PEM"),
        ((certificate, note), "not a PEM"),
        ((locked, locked_key), "passphrase"),
    ]:
        with pytest.raises(Unavailable, match=words):
            check_certificate(*files)


async def test_a_key_without_certificate_is_not_taken_for_http(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="needs the certificate"):
        await serve(Settings(tls_key=tmp_path / "a.key"))


async def test_https_and_wss_answer_and_http_does_not(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path, "a")
    with listen("localhost", 0) as probe:
        port = probe.getsockname()[1]
    settings = Settings(
        host="localhost",
        port=port,
        tls_certificate=certificate,
        tls_key=key,
        data=tmp_path / "var",
        voice=VoiceSettings(kind="none"),
    )
    running = asyncio.create_task(serve(settings))
    trust = ssl.create_default_context(cafile=str(certificate))
    base = f"https://localhost:{port}"
    async with httpx.AsyncClient(base_url=base, verify=trust, timeout=20) as http:
        async with asyncio.timeout(30):
            while True:
                try:
                    assert (await http.get("/healthz")).status_code == 200
                    break
                except httpx.TransportError:
                    assert not running.done(), running
                    await asyncio.sleep(0.05)
        session = (await http.post("/v1/sessions")).json()
        address = f"wss://localhost:{port}{session['control']}?token={session['token']}"
        async with connect(address, ssl=trust) as socket:
            assert json.loads(await socket.recv())["type"] == "hello"
        with pytest.raises(httpx.TransportError):
            await http.get(f"http://localhost:{port}/healthz")
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
