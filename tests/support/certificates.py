"""Certificates for the tests' servers and clients, made on the spot and good for a day."""

import datetime
import ipaddress
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Pair(NamedTuple):
    """A certificate and its key, each a PEM file, and both in one."""

    cert: Path
    key: Path
    both: Path


class Authority:
    """An authority that vouches for what this test names. `ca` is its own certificate (PEM).

    Args:
        folder: Where its files go.
        name: Its name.
    """

    def __init__(self, folder: Path, name: str = "test-ca") -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named(name)
        self._cert = self._signed(self._name, self._key, x509.BasicConstraints(ca=True, path_length=None))
        self.ca = folder / f"{name}.pem"
        self.ca.write_bytes(self._cert.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str, *, addresses: tuple[str, ...] = ("127.0.0.1",), password: bytes | None = None) -> Pair:
        """A certificate for a server at these addresses, or for a client, and its key, under a password if given."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address)) for address in addresses])
        cert = self._signed(_named(name), key, x509.BasicConstraints(ca=False, path_length=None), names)
        hidden = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
        pem = serialization.Encoding.PEM
        pair = Pair(*(self._folder / f"{name}-{part}.pem" for part in Pair._fields))
        key_pem = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, hidden)
        pair.key.write_bytes(key_pem)
        pair.cert.write_bytes(cert.public_bytes(pem))
        pair.both.write_bytes(key_pem + cert.public_bytes(pem))
        return pair

    def _signed(
        self, name: x509.Name, key: ec.EllipticCurvePrivateKey, *extensions: x509.ExtensionType
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=1))
        )
        for extension in extensions:
            builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        return builder.sign(self._key, hashes.SHA256())


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
