"""Settings of the auditor's proofs: where the heads of integrity chains are anchored, and by whom they are signed."""

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from detector.config_base import Secret, Section, TopicName, Url


class AnchorWebhookSettings(Section):
    """Anchors by HTTP POST, signed."""

    url: Url = Field(description="Where anchors are posted to.")
    secret: Secret = Field(description="Key of the HMAC-SHA256 signature of the request.")
    ca_file: Path | None = Field(None, description="CA certificates (PEM) to verify it with; none: the system's.")


class AuditSettings(Section):
    """Proof for auditors: what is stored is covered by a chain, whose head is anchored outside of the store."""

    key: Secret | None = Field(
        None, description="Private key (Ed25519, PEM) that anchors are signed with; `detector audit key` makes one."
    )
    anchor_every: float = Field(60.0, ge=1, description="Seconds between anchors, while something is stored.")
    anchor_file: Path | None = Field(None, description="File that anchors are appended to; none: off.")
    anchor_topic: TopicName | None = Field(None, description="Kafka topic that anchors are written to; none: off.")
    anchor_webhook: AnchorWebhookSettings | None = Field(None, description="Anchors by webhook; none: off.")

    @property
    def anchors(self) -> bool:
        """Whether anchors are made."""
        return self.key is not None

    @model_validator(mode="after")
    def _key_and_place(self) -> Self:
        somewhere = self.anchor_file or self.anchor_topic or self.anchor_webhook
        if somewhere and self.key is None:
            raise ValueError("anchors are signed: make a `key` with `detector audit key`, and name its place")
        if self.key is not None and not somewhere:
            raise ValueError("a `key` needs a place to anchor to: `anchor_file`, `anchor_topic` or `anchor_webhook`")
        return self
