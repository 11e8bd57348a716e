"""What the office's agents do all day: moderation, knowledge, triage, research, code, exports."""

from datetime import datetime

from detector.events import Target
from tests.support.simulator.catalogue import (
    APPROVALS,
    CI,
    CLASSIFIER,
    COLD_STORE,
    CRM,
    EMBEDDER,
    GIT,
    LAKEHOUSE,
    ORCHESTRATOR,
    PACKAGES,
    SEARCH_INDEX,
    TICKETING,
    TRUST_EXCHANGE,
    approved_shard,
    internal_node,
    website,
)
from tests.support.simulator.streams import tail_rank
from tests.support.simulator.trail import Session, Trail


def moderate(trail: Trail, at: datetime) -> None:
    """A batch of reports: read, classify, pass the verdicts to the approved exchange."""
    session = trail.session(at)
    item = trail.pick("moderation")
    for _ in range(trail.rng.randint(1, 3)):
        session.read(item, action="queue.pull" if item.type == "queue" else "read")
        session.call(CLASSIFIER, "/v2/score", 14_000, 2_500)
        item = trail.pick("moderation")
    if item.type == "queue" and trail.rng.random() < 0.8:
        session.send(item, TRUST_EXCHANGE, 16_000, "verdicts.submit", 0.7)
    _now_and_then(session, 0.05)


def refresh_articles(trail: Trail, at: datetime) -> None:
    """Articles that changed: read, embed, send to the search index."""
    session = trail.session(at)
    for _ in range(trail.rng.randint(2, 4)):
        session.read(trail.pick("kb" if trail.rng.random() < 0.8 else "handbook"))
    session.call(EMBEDDER, "/v1/embeddings", 22_000, 60_000)
    if trail.rng.random() < 0.7:
        session.send(trail.pick("kb"), SEARCH_INDEX, 450_000, "index.update", 0.6)
    _now_and_then(session, 0.1)


def publish_article(trail: Trail, at: datetime) -> None:
    """A new article, published once a person has read it."""
    session = trail.session(at, pace=10)
    article = trail.pick("kb")
    session.read(article)
    session.call(APPROVALS, "/v1/requests", 20_000, 200)
    approval = session.ask(trail.colleague("support"), "approve", article.uri)
    session.do(
        "publish", "kb.publish", target=article.target(), destination=SEARCH_INDEX.destination(),
        bytes_out=article.bytes, records=1, approval=approval,
    )  # fmt: skip


def triage(trail: Trail, at: datetime) -> None:
    """Tickets: read, look the customer up, answer through the CRM."""
    session = trail.session(at, on_behalf_of=trail.who.owner)
    for _ in range(trail.rng.randint(1, 3)):
        session.read(trail.pick("tickets"))
        ticket = trail.rng.randint(200_000, 260_000)
        session.call(TICKETING, f"/v2/tickets/{ticket}", 900, 5_000)
    if trail.rng.random() < 0.6:
        session.call(CRM, f"/v3/replies/{trail.rng.randint(70_000, 99_999)}", 3_500, 400)
    _now_and_then(session, 0.08)


def browse(trail: Trail, at: datetime) -> None:
    """Research on the web: page after page, many of hosts that it never met."""
    session = trail.session(at, on_behalf_of=trail.who.owner, pace=12)
    for _ in range(trail.rng.randint(4, 12)):
        host = website(tail_rank(trail.rng, 0.5))
        session.call(host, f"/{trail.rng.choice(('a', 'p', 'topic'))}/{trail.rng.randint(1, 9_999)}", 420, 90_000,
                     "http.get")  # fmt: skip
    if trail.rng.random() < 0.4:
        session.read(trail.pick("handbook"))


def help_code(trail: Trail, at: datetime) -> None:
    """A change for an engineer: read repositories, look something up, push, see the build."""
    session = trail.session(at, on_behalf_of=trail.who.owner)
    for _ in range(trail.rng.randint(1, 4)):
        session.read(trail.pick("code"))
    if trail.rng.random() < 0.3:
        session.call(PACKAGES, "/simple/index", 350, 40_000, "http.get")
    if trail.rng.random() < 0.12:
        session.call(website(tail_rank(trail.rng, 1.1)), f"/api/{trail.rng.randint(1, 400)}", 380, 60_000, "http.get")
    if trail.rng.random() < 0.5:
        session.send(trail.pick("code"), GIT, 30_000, "git.push", 0.8)
        session.call(CI, f"/v1/builds/{trail.rng.randint(10_000, 99_999)}", 700, 9_000)
    _now_and_then(session, 0.08)


def export(trail: Trail, at: datetime) -> None:
    """The hourly export to the approved warehouse; its scratch files are removed after it."""
    session = trail.session(at, pace=15)
    table = trail.pick("analytics")
    session.read(table, action="query")
    session.send(table, LAKEHOUSE, 60_000_000, "export", 0.45)
    session.call(ORCHESTRATOR, f"/v1/runs/{trail.rng.randint(10_000, 99_999)}", 500, 900)
    if trail.rng.random() < 0.25:
        _remove_scratch(session)
    _now_and_then(session, 0.04, segment=40)


def special_export(trail: Trail, at: datetime) -> None:
    """A bigger load that an analyst asked for and approved, some of it to the vault."""
    session = trail.session(at, pace=40)
    approval = session.ask(trail.colleague("analyst"), "approve", "special export")
    host = LAKEHOUSE if trail.rng.random() < 0.7 else COLD_STORE
    for _ in range(trail.rng.randint(1, 3)):
        session.send(trail.pick("analytics"), host, 140_000_000, "export", 0.3, approval=approval)


def _remove_scratch(session: Session) -> None:
    uri = f"scratch://exports/tmp-{session.rng.randint(100, 999)}"
    target = Target(uri=uri, type="scratch_file", sensitivity="internal")
    session.do("delete", "scratch.remove", target=target, records=session.rng.randint(1, 3))


def _now_and_then(session: Session, chance: float, segment: int = 20) -> None:
    """With this chance something off the beaten track: another machine, another address of a vendor."""
    draw = session.rng.random()
    if draw < chance / 2:
        session.call(internal_node(tail_rank(session.rng, 1.0, 150), segment), "/v1/lookup", 800, 4_000)
    elif draw < chance:
        session.call(approved_shard(tail_rank(session.rng, 1.0, 30)), "/v3/lookup", 700, 4_000)
