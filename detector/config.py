"""Settings: what an operator may set, with its default and one line on what it does."""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, PrivateAttr, ValidationInfo, create_model, field_validator, model_validator

from detector import chains
from detector.approvals import ControlSettings
from detector.audit_settings import AuditSettings
from detector.budget import BudgetSettings
from detector.charter import Charter
from detector.config_base import Secret, Section, TopicName, Url, without_password, wrong_at
from detector.destinations import DestinationSettings
from detector.detectors import REGISTRY
from detector.feedback import FeedbackSettings
from detector.formats import REGISTRY as FORMATS
from detector.incidents import CorrelationSettings
from detector.labels import LabelSettings
from detector.overrides import Override
from detector.partitions import ScoringSettings
from detector.renderings import Rendering
from detector.store.cluster import check_name
from detector.suppressions import Mute
from detector.wording import nearest

Named = TypeVar("Named", Mute, Override)
ClusterName = Annotated[str, AfterValidator(check_name)]
Days = Annotated[int, Field(ge=1, le=36_500)]


class Topics(Section):
    """Names of the Kafka topics."""

    events: TopicName = Field("agent-events", description="What agents, people and services did; read.")
    findings: TopicName = Field("agent-findings", description="What scoring found; written, read by correlation.")
    alerts: TopicName = Field("agent-alerts", description="Each version of each alert; written.")
    rejects: TopicName = Field("agent-rejects", description="Messages that could not be understood; written.")
    adjustments: TopicName = Field(
        "agent-adjustments", description="What verdicts on alerts say is to be told no more; written, read by scoring."
    )
    peers: TopicName = Field(
        "agent-peers", description="What peers are used to, exchanged between workers; written and read by scoring."
    )


class Security(Section):
    """How to reach the brokers safely."""

    protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="Transport and authentication, in Kafka's words."
    )
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] | None = Field(
        None, description="SASL mechanism; needed with a SASL protocol."
    )
    username: str | None = Field(None, description="SASL user (PLAIN, SCRAM).")
    password: Secret | None = Field(None, description="SASL password (PLAIN, SCRAM).")
    token: Secret | None = Field(None, description="OAUTHBEARER token; a file is read anew at each login.")
    ca_file: Path | None = Field(None, description="CA certificates (PEM) to verify brokers with.")
    cert_file: Path | None = Field(None, description="Client certificate (PEM), for mutual TLS.")
    key_file: Path | None = Field(None, description="Key of the client certificate (PEM).")
    key_password: Secret | None = Field(None, description="Password of the key.")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.protocol.startswith("SASL") and self.mechanism is None:
            raise ValueError(f"protocol {self.protocol} needs a `mechanism`")
        if self.mechanism in {"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} and not (self.username and self.password):
            raise ValueError(f"mechanism {self.mechanism} needs `username` and `password`")
        if self.mechanism == "OAUTHBEARER" and self.token is None:
            raise ValueError("mechanism OAUTHBEARER needs a `token`")
        return self


class Kafka(Section):
    """The brokers, the group and the topics."""

    bootstrap_servers: tuple[str, ...] = Field(
        ("127.0.0.1:9092",), min_length=1, description="Brokers to ask first, as host:port."
    )
    client: Literal["kafka-python", "confluent-kafka"] = Field(
        "kafka-python",
        description="What reads topics; `confluent-kafka` takes less time a message, and needs the extra `fast`.",
    )
    group_id: str = Field("rogue-agent-detector", description="Consumer group; correlation adds `-correlate`.")
    instance_id: str | None = Field(
        None, description="Static membership: keeps the partitions over a restart. Unique for each process."
    )
    topics: Topics = Field(Topics(), description="Names of the topics.")
    alert_format: Rendering = Field(
        "native", description="What alerts are written as: `native`, or `ocsf` (Detection Finding)."
    )
    security: Security = Field(Security(), description="How to reach the brokers safely.")


class Retention(Section):
    """How long rows are kept; a legal hold keeps them longer."""

    events: Days | None = Field(
        None, description="Days that events are kept after the month they are of is over; none: for ever."
    )
    findings: Days | None = Field(None, description="The same for findings.")
    alerts: Days | None = Field(None, description="The same for alerts, by the month in which they were opened.")
    exposures: Days | None = Field(None, description="The same for exposure windows, likewise.")
    rejects: Days | None = Field(None, description="The same for rejects, by the month in which they arrived.")
    principal_minutes: Days | None = Field(None, description="The same for the sums by principal and minute.")


class Store(Section):
    """The event store."""

    url: str | None = Field(
        None,
        description="`chdb:///path` (embedded) or `http(s)://user@host:port/database`; none: nothing is stored.",
    )
    password: Secret | None = Field(None, description="Password of the server's user.")
    ca_file: Path | None = Field(None, description="CA certificates (PEM) to verify it with; none: the system's.")
    cluster: ClusterName | None = Field(
        None, description="Cluster of servers to make the tables on, replicated; none: on one server. For new stores."
    )
    retention: Retention = Field(Retention(), description="How long rows are kept; a legal hold keeps them longer.")

    @property
    def secret(self) -> str | None:
        """The password, looked up now; None if there is none.

        Raises:
            ConfigError: It is not where it should be.
        """
        return self.password.reveal() if self.password is not None else None

    @field_validator("url")
    @classmethod
    def _no_password_in_it(cls, url: str | None) -> str | None:
        return url if url is None else without_password(url)

    @model_validator(mode="after")
    def _cluster_of_servers(self) -> Self:
        if self.cluster is not None and (self.url or "").startswith("chdb:"):
            raise ValueError("an embedded store is on no `cluster`: take it out, or name a server as `url`")
        return self


class State(Section):
    """Where the detector's memory is saved."""

    url: str = Field(
        "file://./var/state",
        description="Where checkpoints are kept: a path or `file://` URL, or an object store (`s3://`, `gs://`; needs "
        "s3fs, gcsfs).",
    )
    every: float = Field(30.0, gt=0, description="Seconds between checkpoints.")

    @field_validator("url")
    @classmethod
    def _no_credentials_in_it(cls, url: str) -> str:
        if urlsplit(url).username is not None:
            raise ValueError(
                "the `url` holds credentials: take them out, object stores read theirs from the environment"
            )
        return url


class Alertmanager(Section):
    """Delivery to Prometheus Alertmanager (API v2)."""

    url: Url = Field(description="Its address, for example `http://127.0.0.1:9093`.")
    heartbeat: float = Field(60.0, gt=0, description="Seconds between repeats of open alerts.")
    token: Secret | None = Field(None, description="Bearer token, where a proxy in front asks for one.")
    ca_file: Path | None = Field(None, description="CA certificates (PEM) to verify it with; none: the system's.")


class Webhook(Section):
    """Delivery by HTTP POST, signed."""

    url: Url = Field(description="Where alerts are posted to.")
    secret: Secret = Field(description="Key of the HMAC-SHA256 signature.")
    ca_file: Path | None = Field(None, description="CA certificates (PEM) to verify it with; none: the system's.")
    format: Rendering = Field(
        "native", description="What alerts are posted as: `native`, or `ocsf` (Detection Finding)."
    )


class Metrics(Section):
    """Prometheus metrics and health."""

    address: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(9464, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    cert_file: Path | None = Field(None, description="Certificate (PEM) and chain to serve HTTPS with; none: HTTP.")
    key_file: Path | None = Field(None, description="Key of the certificate (PEM).")
    token: Secret | None = Field(None, description="Bearer token for all but the probes; none: no verdicts by HTTP.")

    @model_validator(mode="after")
    def _certificate_with_key(self) -> Self:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("`cert_file` and `key_file` go together")
        return self


class Charters(Section):
    """What agents were given to do."""

    roles: dict[str, Charter] = Field({}, description="Charter by role.")
    agents: dict[str, Charter] = Field({}, description="Charter by agent id; adds to that of its role.")


_DETECTORS: dict[str, Any] = {
    name: (
        detector.Settings,
        Field(detector.Settings(), description=f"Watches who {'; '.join(detector.rules.values())}."),
    )
    for name, detector in REGISTRY.items()
}
Detectors: Any = create_model("Detectors", __base__=Section, __doc__="Settings by detector.", **_DETECTORS)


class Source(Section):
    """A topic of events, and what is written in it."""

    topic: TopicName = Field(description="Name of the topic; read.")
    format: Literal[tuple(FORMATS)] = Field("native", description="Wire format of its messages.")  # type: ignore[valid-type]


class Content(Section):
    """What is said to models and by them."""

    keep: bool = Field(
        False,
        description="Store what was said, not only its size and what it names. It is looked at in either case.",
    )


class Config(Section):
    """The whole configuration. Every setting has a default that works."""

    kafka: Kafka = Field(Kafka(), description="The brokers, the group and the topics.")
    format: Literal[tuple(FORMATS)] = Field("native", description="Wire format of the events topic.")  # type: ignore[valid-type]
    sources: tuple[Source, ...] = Field(
        (),
        description="Topics to read events from (`topic`, `format`); none: `kafka.topics.events`, in `format`.",
    )
    content: Content = Field(Content(), description="What is said to models and by them.")
    store: Store = Field(Store(), description="The event store.")
    audit: AuditSettings = Field(AuditSettings(), description="Proof for auditors that nothing stored was altered.")
    state: State = Field(State(), description="Where the detector's memory is saved.")
    scoring: ScoringSettings = Field(ScoringSettings(), description="Bounds and event-time rules.")
    budget: BudgetSettings = Field(BudgetSettings(), description="How many false alerts people are willing to look at.")
    detectors: Detectors = Field(Detectors(), description="Settings by detector.")
    correlation: CorrelationSettings = Field(CorrelationSettings(), description="How findings make alerts.")
    feedback: FeedbackSettings = Field(FeedbackSettings(), description="Whose verdicts on alerts count.")
    charters: Charters = Field(Charters(), description="What agents were given to do.")
    control: ControlSettings = Field(ControlSettings(), description="Whose orders to agents count.")
    destinations: DestinationSettings = Field(
        DestinationSettings(), description="Whose the places are that data goes to."
    )
    labels: LabelSettings = Field(LabelSettings(), description="What a source can't tell of resources and principals.")
    overrides: tuple[Override, ...] = Field(
        (), description="What holds for some principals, detectors or hours instead; in order, the first counts."
    )
    mutes: tuple[Mute, ...] = Field((), description="Findings to keep and not to tell; in order, the first that fits.")
    alertmanager: Alertmanager | None = Field(None, description="Delivery to Alertmanager; none: off.")
    webhook: Webhook | None = Field(None, description="Delivery by webhook; none: off.")
    metrics: Metrics = Field(Metrics(), description="Prometheus metrics and health.")

    _files: dict[str, str] = PrivateAttr(default_factory=dict)

    @property
    def files(self) -> Mapping[str, str]:
        """The SHA-256 of files that settings name, by setting, as they were when the configuration was read."""
        return self._files

    def with_files(self, files: Mapping[str, str]) -> Self:
        """The same settings with the digests of such files."""
        copy = self.model_copy()
        copy._files = dict(files)
        return copy

    @property
    def read(self) -> tuple[Source, ...]:
        """The topics that events are read from."""
        return self.sources or (Source(topic=self.kafka.topics.events, format=self.format),)

    @field_validator("sources")
    @classmethod
    def _each_topic_once(cls, sources: tuple[Source, ...]) -> tuple[Source, ...]:
        names = [source.topic for source in sources]
        for index, name in enumerate(names):
            if name in names[:index]:
                raise wrong_at(f"the topic `{name}` stands here twice: a message has one format (`auto` is any)", index)
        return sources

    @model_validator(mode="after")
    def _reads_nothing_that_it_writes(self) -> Self:
        topics = self.kafka.topics
        own = {*topics.model_dump(exclude={"events"}).values(), self.audit.anchor_topic}
        for source in self.read:
            if source.topic in own:
                raise ValueError(f"the topic `{source.topic}` is written by the detector: it can't be read for events")
        return self

    @model_validator(mode="after")
    def _each_source_says_its_format(self) -> Self:
        if self.sources and "format" in self.model_fields_set:
            raise ValueError("`format` is that of `kafka.topics.events` alone: of `sources`, each has a `format`")
        return self

    @field_validator("mutes", "overrides")
    @classmethod
    def _can_be_told_apart(cls, named: tuple[Named, ...], info: ValidationInfo) -> tuple[Named, ...]:
        names = [one.name for one in named]
        for index, name in enumerate(names):
            if name in names[:index]:
                did = "silenced" if info.field_name == "mutes" else "changed"
                why = f"another is called {name!r} too: a finding could not say which of them {did} it"
                raise wrong_at(why, index)
        return named

    @field_validator("mutes")
    @classmethod
    def _name_what_there_is(cls, mutes: tuple[Mute, ...]) -> tuple[Mute, ...]:
        known = [*REGISTRY, *chains.DERIVED]
        for index, mute in enumerate(mutes):
            for pattern in mute.detectors:
                if not any(fnmatchcase(name, pattern) for name in known):
                    raise wrong_at(f"there is no detector `{pattern}`; {nearest(pattern, known)}", index, "detectors")
        return mutes
