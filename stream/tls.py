"""HTTPS by two files: checked before anything is served, with words that say which one is wrong."""

from __future__ import annotations

import ssl
from pathlib import Path

from core import Unavailable


def check_certificate(certificate: Path, key: Path | None) -> None:
    """Whether a server can use them: PEM, the certificate first, then those between it and a root.

    Args:
        certificate: The chain.
        key: Its private key, without a passphrase; None when it is in the same file.

    Raises:
        Unavailable: A file can not be read, is no PEM, or the two do not belong together.
    """
    for setting, file in (("tls_certificate", certificate), ("tls_key", key)):
        if file is None:
            continue
        try:
            file.read_bytes()
        except OSError as error:
            raise Unavailable(f"{setting}: {file} can not be read ({error.strerror}).") from None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key, password=_no_passphrase)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise Unavailable(
                f"tls_key: {key or certificate} is not the key of the certificate in"
                f" {certificate}. Give the two that were made together."
            ) from None
        raise Unavailable(
            f"tls_certificate, tls_key: {certificate} and {key or 'the key in it'} are not a PEM"
            f" certificate and its private key ({error.reason or error})."
        ) from None


def _no_passphrase() -> str:
    raise Unavailable("tls_key: the key has a passphrase; give one without (openssl pkey).")
