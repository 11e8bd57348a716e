"""What partitions say of themselves: who is waited for, what is next, what is too large, and what is forgotten."""

import random
import string

import msgspec
import pytest

from detector import exchange as module
from detector.exchange import CUTS, PACKED_MOST, Exchange, Notice, decode, notice_of
from detector.peers import PeerSummary

HOUR, DAY = 3600.0, 86400.0
A, B, C = (("events", number) for number in range(3))


def notice(partition: tuple[str, int], since: float, until: float, hours: int = 1) -> Notice:
    sums = PeerSummary()
    sums.role("mover").hours = hours
    return notice_of(partition, since, until, sums)[0]


def of(*own: tuple[str, int], sent: list[Notice] | None = None) -> Exchange:
    exchange = Exchange((sent if sent is not None else []).append)
    exchange.partitions = frozenset((A, B, C))
    for partition in own:
        exchange.own(partition)
    return exchange


def hours(exchange: Exchange, boundary: float) -> list[int]:
    return [sums.roles["mover"].hours for sums in exchange.sums(boundary, {}, daily=False)]


def test_the_next_boundary_is_the_earliest_that_anybody_is_at_once_all_have_said_so() -> None:
    sent: list[Notice] = []
    exchange = of(A, sent=sent)
    exchange.publish(notice(A, 10 * HOUR, 13 * HOUR))
    exchange.put(notice(B, 10 * HOUR, 12 * HOUR))
    assert exchange.next(10 * HOUR) is None
    assert exchange.missing(10 * HOUR) == [C]
    exchange.put(notice(C, 10 * HOUR, 15 * HOUR))
    assert exchange.next(10 * HOUR) == 12 * HOUR
    assert exchange.next(12 * HOUR) is None  # what B adds then is not known yet, what A and C do is
    assert exchange.missing(12 * HOUR) == [B]
    assert [one.partition for one in sent] == [A]


def test_a_message_is_what_was_said() -> None:
    said = notice(A, 10 * HOUR, 30 * HOUR, 7)
    assert decode(said.encode()) == said
    assert said.daily is not None  # another day begins
    assert notice(A, 10 * HOUR, 11 * HOUR).daily is None
    exchange = of(B)
    exchange.put(decode(said.encode()))
    assert hours(exchange, 20 * HOUR) == [7]


def test_of_another_version_it_is_not_understood() -> None:
    with pytest.raises(msgspec.DecodeError, match="version 9"):
        decode(msgspec.msgpack.encode([9, "events", 0, 0.0, HOUR, b"", None]))


def test_on_a_new_day_a_partition_that_rested_has_to_say_anew_what_it_adds() -> None:
    exchange = of(A)
    exchange.publish(notice(A, 20 * HOUR, 25 * HOUR))
    exchange.put(notice(B, 20 * HOUR, 25 * HOUR))
    exchange.put(notice(C, 20 * HOUR, 60 * HOUR))
    assert exchange.next(20 * HOUR) == 25 * HOUR
    assert C in exchange.missing(25 * HOUR)
    exchange.put(notice(C, 25 * HOUR, 60 * HOUR))
    assert C not in exchange.missing(25 * HOUR)


def test_of_who_was_waited_for_in_vain_counts_what_it_said_last() -> None:
    exchange = of(A)
    for partition, said in ((A, 1), (B, 2), (C, 3)):
        exchange.put(notice(partition, 9 * HOUR, 10 * HOUR, said))
    exchange.publish(notice(A, 10 * HOUR, 11 * HOUR, 4))
    exchange.put(notice(B, 10 * HOUR, 11 * HOUR, 5))
    assert exchange.next(10 * HOUR, overdue=True) == 11 * HOUR
    assert hours(exchange, 11 * HOUR) == [4, 5, 3]
    assert exchange.missing(11 * HOUR) == [B]
    exchange.put(notice(C, 10 * HOUR, 11 * HOUR, 6))
    assert exchange.missing(11 * HOUR) == [B, C]


def test_nobody_is_waited_for_before_it_is_known_who_there_is() -> None:
    exchange = of(A)
    exchange.partitions = None
    exchange.publish(notice(A, 10 * HOUR, 11 * HOUR))
    assert exchange.next(10 * HOUR) is None
    assert exchange.next(10 * HOUR, overdue=True) == 11 * HOUR
    exchange.deaf = True
    assert exchange.next(10 * HOUR) == 11 * HOUR
    assert not exchange.alone


def test_what_nobody_can_ask_for_is_forgotten() -> None:
    exchange = of(A)
    for hour in range(20, 60):
        exchange.put(notice(B, hour * HOUR, (hour + 1) * HOUR, hour))
    exchange.forget(50 * HOUR)
    kept = sorted(exchange._held[B])
    # What led to the day, what was last before the boundary, what led to it, and all that is to come.
    assert kept == [hour * HOUR for hour in (47, 48, *range(49, 60))]
    assert exchange._bytes == sum(one.size for one in exchange._all())
    assert hours(exchange, 50 * HOUR) == [49]


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HELD_MOST", 5_000)
    exchange = of(A)
    for hour in range(1000):
        exchange.put(notice(B, hour * HOUR, (hour + 1) * HOUR, hour))
    assert exchange._bytes <= 5_000
    assert exchange.dropped > 900
    assert hours(exchange, 2 * HOUR) == [1]  # those that are needed next are kept


def large(roles: int) -> PeerSummary:
    rng, sums = random.Random(1), PeerSummary()
    for role in range(roles):
        group = sums.role(f"role-{role}")
        for count in range(1, 2000):
            group.add_use("host", "".join(rng.choices(string.printable, k=40)))
            group.usage["host"].users[f"common-{count % 50}"] = count + 1_000
    return sums


def test_what_is_too_large_is_said_of_the_commonest_endpoints() -> None:
    sums = large(60)
    said, cut = notice_of(A, 0.0, 30 * HOUR, sums)
    assert cut
    assert len(said.encode()) < PACKED_MOST + 200
    exchange = of(B)
    exchange.put(decode(said.encode()))
    (heard,) = exchange.sums(30 * HOUR, {}, daily=True)
    users = heard.roles["role-7"].usage["host"].users
    assert len(users) in CUTS[1:]
    assert all(users[f"common-{number}"] > 1_000 for number in range(50))
    assert heard.roles["role-7"].usage["host"].pairs == sums.roles["role-7"].usage["host"].pairs
    assert notice_of(A, 0.0, 30 * HOUR, sums)[0] == said


def test_at_last_the_habits_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    sums = large(1)
    for name in range(40):
        sums.habits.role(f"role-{name}")
    monkeypatch.setattr(module, "PACKED_MOST", 200)
    said, cut = notice_of(A, 0.0, 30 * HOUR, sums)
    assert cut
    exchange = of(B)
    exchange.put(said)
    (heard,) = exchange.sums(30 * HOUR, {}, daily=True)
    assert not heard.habits.roles
    assert not heard.roles["role-0"].usage["host"].users
    assert heard.roles["role-0"].members == sums.roles["role-0"].members
