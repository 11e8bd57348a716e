"""The mail assistants: reading, answering, and tidying up what their owner has confirmed."""

from datetime import datetime

import msgspec

from detector.events import Approval, Destination, Event, Target
from tests.support.simulator.catalogue import CALENDAR, MAIL_RELAY, website
from tests.support.simulator.streams import tail_rank, volume
from tests.support.simulator.trail import Session, Trail

_PARTNERS = ("brightline", "norvest", "calder", "solano", "teravia", "hollis", "pemberton", "quantia")


def mailbox_target(session: Session, left: int) -> Target:
    """The owner's mailbox with the messages that are in it."""
    mailbox = session.trail.world.mailbox(session.who.owner or "")
    return msgspec.structs.replace(mailbox.target(), container_size=left)


def answer_mail(trail: Trail, at: datetime) -> None:
    """A round through the inbox: read, look at the calendar, answer colleagues, partners and the odd stranger."""
    session = trail.session(at, on_behalf_of=trail.who.owner)
    mailbox = trail.world.mailbox(trail.who.owner or "")
    for _ in range(trail.rng.randint(1, 3)):
        session.do(
            "access", "mail.read", target=mailbox.target(), bytes_in=volume(trail.rng, mailbox.bytes),
            records=trail.rng.randint(1, 12),
        )  # fmt: skip
    if trail.rng.random() < 0.4:
        session.call(CALENDAR, "/v1/events", 400, 5_000, "http.get")
    for _ in range(trail.rng.randint(0, 2)):
        session.do(
            "transfer", "mail.send", target=mailbox.target(), destination=_recipient(trail),
            bytes_out=volume(trail.rng, 6_000 * trail.who.bulk, 0.7), records=1,
        )  # fmt: skip


def tidy_up(trail: Trail, at: datetime) -> None:
    """A few messages (rarely a few hundred newsletters) go, after the owner's confirmation."""
    session = trail.session(at, on_behalf_of=trail.who.owner, pace=5)
    owner = trail.world.by_id[trail.who.owner or ""]
    left = trail.world.mailbox(owner.id).records - trail.rng.randint(0, 60)
    session.do("access", "mail.search", target=mailbox_target(session, left), records=trail.rng.randint(3, 40))
    approval = session.ask(owner, "confirm", "mail.delete")
    batches, size = (trail.rng.randint(4, 9), 45) if trail.rng.random() < 0.08 else (1, 7)
    for _ in range(batches):
        count = volume(trail.rng, size, 0.4)
        delete_mail(session, left, count, approval)
        left -= count


def delete_mail(session: Session, left: int, count: int, approval: Approval) -> Event:
    """One deletion of `count` messages out of the `left` that the mailbox holds."""
    target = mailbox_target(session, left)
    return session.do("delete", "mail.delete", target=target, records=count, approval=approval)


def _recipient(trail: Trail) -> Destination:
    if trail.rng.random() < 0.6:
        colleague = trail.colleague("manager", "operations", "analyst")
        return Destination(recipient=f"{colleague.id}@corp.example", zone="internal")
    partner = _PARTNERS[min(tail_rank(trail.rng, 0.9), len(_PARTNERS) - 1)]
    number = 1 + tail_rank(trail.rng, 1.3, 20)
    if trail.rng.random() < 0.2:
        return Destination(host=MAIL_RELAY.name, recipient=f"guest{number}@{website(number).name}", zone="external")
    return Destination(host=MAIL_RELAY.name, recipient=f"contact{number}@{partner}.example", zone="approved")
