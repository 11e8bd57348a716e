"""Anchors: the head of a chain, signed, to be kept outside of the store."""

import hashlib
from typing import Final

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from detector.integrity.chain import NOTHING, Head

VERSION: Final = 1


class Anchor(msgspec.Struct, frozen=True, kw_only=True):
    """What is signed: all that the chain covers up to `sequence` was stored at `time` (microseconds since 1970).

    `previous` is the hash of the anchor before, of the same chain. The fields stand in the order of their names,
    so that their encoding is canonical JSON.
    """

    chain: str
    link: str
    previous: str
    sequence: int
    time: int
    version: int = VERSION

    def body(self) -> bytes:
        """The bytes that are signed: JSON with sorted keys, without white space."""
        return msgspec.json.encode(self)

    def hash(self) -> str:
        """SHA-256 of the body, hexadecimal."""
        return hashlib.sha256(self.body()).hexdigest()


class Signed(msgspec.Struct, frozen=True, kw_only=True):
    """An anchor with its signature and the public key to verify it with, both hexadecimal."""

    anchor: Anchor
    public_key: str
    signature: str

    def line(self) -> bytes:
        """As one line of JSON, without the line's end."""
        return msgspec.json.encode(self)

    def is_signed_by(self, key: Ed25519PublicKey) -> bool:
        """Whether the signature is that of this key over this anchor."""
        try:
            key.verify(bytes.fromhex(self.signature), self.anchor.body())
        except (InvalidSignature, ValueError):
            return False
        return True


class Signer:
    """Makes the anchors of one chain after the other, each with the hash of the one before.

    Args:
        key: The private key.
    """

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self._public = key.public_key().public_bytes_raw().hex()
        self._previous: dict[str, str] = {}

    def sign(self, head: Head, now: int) -> Signed:
        """The anchor of a head as of `now`, microseconds since 1970."""
        anchor = Anchor(
            chain=head.chain,
            link=head.link,
            previous=self._previous.get(head.chain, NOTHING),
            sequence=head.sequence,
            time=now,
        )
        self._previous[head.chain] = anchor.hash()
        return Signed(anchor=anchor, public_key=self._public, signature=self._key.sign(anchor.body()).hex())


_signed: Final = msgspec.json.Decoder(Signed)


def read(line: bytes) -> Signed:
    """An anchor from its line.

    Raises:
        msgspec.DecodeError: It is none.
    """
    return _signed.decode(line)


def private_key(pem: bytes) -> Ed25519PrivateKey:
    """A private key from its PEM (PKCS #8, not encrypted).

    Raises:
        ValueError: It is none.
    """
    try:
        key = serialization.load_pem_private_key(pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if isinstance(key, Ed25519PrivateKey):
        return key
    raise ValueError("not a private Ed25519 key in PEM, without a password: `detector audit key` makes one")


def public_key(text: bytes) -> Ed25519PublicKey:
    """A public key from its PEM, or from 64 hexadecimal digits.

    Raises:
        ValueError: It is none.
    """
    try:
        if not text.lstrip().startswith(b"-----"):
            return Ed25519PublicKey.from_public_bytes(bytes.fromhex(text.decode().strip()))
        key = serialization.load_pem_public_key(text)
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if isinstance(key, Ed25519PublicKey):
        return key
    raise ValueError("not a public Ed25519 key: its PEM, or its 64 hexadecimal digits, are wanted")


def new_key() -> tuple[bytes, bytes]:
    """A new key pair, both halves as PEM: private, public."""
    key = Ed25519PrivateKey.generate()
    none = serialization.NoEncryption()
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, none)
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return private, key.public_key().public_bytes(serialization.Encoding.PEM, form)
