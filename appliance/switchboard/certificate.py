"""The box's own TLS certificate, made at its first start when the clinic file names none."""

from __future__ import annotations

import ipaddress
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

#: phones that check dates have clocks that may be far off; the key never leaves the box
YEARS = 10


def ensure(folder: Path, domain: str, address: str) -> tuple[Path, Path]:
    """Certificate and key (PEM, P-256, RFC 5280) for this domain and address; made when one is missing or is for others."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    certificate, key = folder / "sip.crt", folder / "sip.key"
    if not (key.exists() and certificate.exists() and _fits(certificate, domain, address)):
        _make(certificate, key, domain, address)
    return certificate, key


def _fits(path: Path, domain: str, address: str) -> bool:
    try:
        found = x509.load_pem_x509_certificate(path.read_bytes())
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, OSError, x509.ExtensionNotFound):
        return False
    return (
        domain in names.get_values_for_type(x509.DNSName)
        and ipaddress.ip_address(address) in names.get_values_for_type(x509.IPAddress)
        and found.not_valid_after_utc > datetime.now(UTC) + timedelta(days=30)
    )


def _make(certificate: Path, key: Path, domain: str, address: str) -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, domain)])
    now = datetime.now(UTC)
    names = x509.SubjectAlternativeName([x509.DNSName(domain), x509.IPAddress(ipaddress.ip_address(address))])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        # A clock that has not been set yet must not make the certificate one of the future.
        .not_valid_before(now - timedelta(days=365))
        .not_valid_after(now + timedelta(days=365 * YEARS))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(private, hashes.SHA256())
    )
    _write(
        key,
        private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )
    _write(certificate, made.public_bytes(serialization.Encoding.PEM))


def _write(path: Path, data: bytes) -> None:
    part = path.with_name(path.name + ".part")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
