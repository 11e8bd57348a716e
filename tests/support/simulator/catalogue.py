"""What the company has: its data, by domain and sensitivity, and the hosts that its data travels to."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from detector.events import Destination, Sensitivity, Target, Zone

_TOPICS: Final = (
    "onboarding", "travel", "retention", "escalation", "accessibility", "billing", "search", "ranking", "identity",
    "payments", "mobile", "privacy", "incident-review", "localisation", "vendors", "storage", "network", "release",
    "experiments", "support-tiers",
)  # fmt: skip
_FORMS: Final = ("guide", "checklist", "faq", "plan", "minutes", "spec", "summary", "template")
_SITE_WORDS: Final = (
    "stack", "lumen", "parse", "graph", "river", "query", "vector", "atlas", "proto", "kernel", "tensor", "cobalt",
    "maple", "orbit", "quill", "harbor", "cedar", "signal", "photon", "ledger",
)  # fmt: skip
_SITE_FORMS: Final = ("docs", "blog", "www", "forum", "news", "wiki", "learn")


@dataclass(frozen=True)
class Resource:
    """A thing that can be read or changed; `bytes` and `records` are the medians of one reading of it."""

    uri: str
    type: str
    sensitivity: Sensitivity
    domain: str
    bytes: int
    records: int

    def target(self) -> Target:
        """As it stands in an event."""
        return Target(uri=self.uri, type=self.type, sensitivity=self.sensitivity)


@dataclass(frozen=True)
class Host:
    """A machine or service that data goes to, and the organisation's opinion of it."""

    name: str
    zone: Zone
    account: str | None = None

    def destination(self) -> Destination:
        """As it stands in an event."""
        return Destination(host=self.name, account=self.account, zone=self.zone)


@dataclass(frozen=True)
class _Family:
    """Many resources of one sort: `pattern` takes `{n}` (a number) or `{name}` (a subject)."""

    domain: str
    pattern: str
    count: int
    type: str
    sensitivity: Sensitivity
    bytes: int
    records: int = 1

    def resources(self, breadth: int) -> Iterator[Resource]:
        for n in range(self.count * breadth):
            uri = self.pattern.format(n=n, name=_subject(n))
            yield Resource(uri, self.type, self.sensitivity, self.domain, self.bytes, self.records)


_FAMILIES: Final = (
    _Family("handbook", "wiki://handbook/{name}", 40, "document", "internal", 24_000),
    _Family("handbook", "wiki://welcome/{name}", 10, "document", "public", 15_000),
    _Family("policy", "wiki://policy/drafts/{name}", 14, "document", "confidential", 48_000),
    _Family("policy", "wiki://policy/published/{name}", 20, "document", "internal", 36_000),
    _Family("moderation", "queue://moderation/reports-{n}", 8, "queue", "internal", 60_000, 25),
    _Family("moderation", "wiki://moderation/rules/{name}", 16, "document", "internal", 18_000),
    _Family("moderation", "queue://moderation/appeals-{n}", 3, "queue", "confidential", 40_000, 8),
    _Family("kb", "kb://articles/{name}", 60, "document", "internal", 21_000),
    _Family("kb", "kb://drafts/{name}", 12, "document", "confidential", 19_000),
    _Family("tickets", "tickets://queue/{name}", 24, "ticket_queue", "internal", 30_000, 12),
    _Family("tickets", "crm://accounts/segment-{n}", 18, "crm_segment", "confidential", 45_000, 20),
    _Family("code", "repo://platform/{name}", 40, "repository", "internal", 180_000, 6),
    _Family("code", "repo://security/{name}", 4, "repository", "confidential", 90_000, 4),
    _Family("code", "dashboard://services/{name}", 30, "dashboard", "internal", 35_000),
    _Family("analytics", "warehouse://events/day-{n}", 30, "table", "internal", 900_000, 4_000),
    _Family("analytics", "warehouse://revenue/{name}", 8, "table", "confidential", 300_000, 900),
    _Family("management", "drive://planning/{name}", 16, "document", "internal", 60_000),
    _Family("management", "drive://finance/{name}", 10, "document", "confidential", 85_000),
    _Family("infra", "config://clusters/{name}", 24, "configuration", "internal", 12_000),
    _Family("infra", "config://secrets-index/{name}", 4, "configuration", "confidential", 4_000),
    _Family("website", "site://assets/{name}", 60, "asset", "public", 250_000),
)

POLICY_DRAFTS: Final = Resource("db://policy/drafts", "table", "confidential", "policy", 350_000, 140)
EMPLOYEE_MAIL: Final = Resource("db://mail/employee_messages", "table", "confidential", "people", 800_000, 300)
EMPLOYEE_DIRECTORY: Final = Resource("db://people/directory", "table", "confidential", "people", 260_000, 500)
USER_EMAILS: Final = Resource("db://users/email_addresses", "table", "restricted", "userdata", 500_000, 9_000)
USER_PHONES: Final = Resource("db://users/phone_numbers", "table", "restricted", "userdata", 400_000, 9_000)
USER_VAULT: Final = Resource("s3://user-vault/encrypted", "bucket", "restricted", "userdata", 6_000_000, 4_000)
INSIGHTS: Final = Resource("store://insights/company-and-user-data", "store", "restricted", "insights", 420_000, 350)
STORES: Final = (
    POLICY_DRAFTS, EMPLOYEE_MAIL, EMPLOYEE_DIRECTORY, USER_EMAILS, USER_PHONES, USER_VAULT, INSIGHTS
)  # fmt: skip

CLASSIFIER: Final = Host("classify.ml.corp.internal", "internal")
EMBEDDER: Final = Host("embed.ml.corp.internal", "internal")
SEARCH_INDEX: Final = Host("search-index.corp.internal", "internal")
TICKETING: Final = Host("tickets.corp.internal", "internal")
CALENDAR: Final = Host("calendar.corp.internal", "internal")
APPROVALS: Final = Host("approvals.corp.internal", "internal")
GIT: Final = Host("git.corp.internal", "internal")
CI: Final = Host("ci.corp.internal", "internal")
ORCHESTRATOR: Final = Host("jobs.corp.internal", "internal")
FORUM: Final = Host("forum.corp.internal", "internal")
CRM: Final = Host("api.crmworks.example", "approved")
TRUST_EXCHANGE: Final = Host("verdicts.trust-exchange.example", "approved")
LAKEHOUSE: Final = Host("ingest.lakehouse.example", "approved", "corp-lakehouse")
COLD_STORE: Final = Host("vault.coldstore.example", "approved", "corp-backup-eu")
MAIL_RELAY: Final = Host("relay.mailgate.example", "approved")
PACKAGES: Final = Host("packages.mirrorworks.example", "approved")
WEBSITE_BUCKET: Final = Host("objects.cloudstore.example", "public", "corp-website")


def resources(breadth: int) -> tuple[Resource, ...]:
    """The whole catalogue; `breadth` multiplies the families for a larger company."""
    return (*(item for family in _FAMILIES for item in family.resources(breadth)), *STORES)


def internal_node(rank: int, segment: int = 20) -> Host:
    """The rank-th machine of a 10.x network segment, by its address."""
    return Host(f"10.{segment}.{1 + rank // 200}.{10 + rank % 200}", "internal")


def approved_shard(rank: int) -> Host:
    """The rank-th regional address of an approved vendor."""
    return Host(f"eu{rank + 1}.crmworks.example", "approved")


def website(rank: int) -> Host:
    """The rank-th most popular site of the public web; there is no end of them."""
    words, forms = len(_SITE_WORDS), len(_SITE_FORMS)
    first, second = _SITE_WORDS[(7 * rank) % words], _SITE_WORDS[(rank // words + 3 * rank) % words]
    suffix = "" if rank < words * forms else str(rank)
    return Host(f"{_SITE_FORMS[rank % forms]}.{first}{second}{suffix}.example", "external")


def _subject(n: int) -> str:
    topic, form = _TOPICS[n % len(_TOPICS)], _FORMS[(n // len(_TOPICS) + n) % len(_FORMS)]
    year = n // (len(_TOPICS) * len(_FORMS))
    return f"{topic}-{form}" if year == 0 else f"{topic}-{form}-{year}"
