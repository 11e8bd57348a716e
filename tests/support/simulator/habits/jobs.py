"""Jobs of the clock and of operations: backups, publishing, syncs, purges, and agents held for maintenance."""

from datetime import datetime, timedelta

import msgspec

from tests.support.simulator.catalogue import (
    COLD_STORE,
    EMPLOYEE_DIRECTORY,
    ORCHESTRATOR,
    STORES,
    WEBSITE_BUCKET,
)
from tests.support.simulator.streams import stream, volume
from tests.support.simulator.trail import Trail


def nightly_backup(trail: Trail, at: datetime) -> None:
    """Every store in turn to the approved vault: gigabytes, about as many as last night."""
    session = trail.session(at, pace=240)
    for store in STORES:
        usual = volume(stream(trail.world.seed, "backup", store.uri), 8_000_000_000, 0.8)
        session.send(store, COLD_STORE, usual / trail.who.bulk, "backup.upload", 0.06)
    session.call(ORCHESTRATOR, "/v1/reports/backup", 2_000, 300)


def publish_site(trail: Trail, at: datetime) -> None:
    """A release of the public website into its public bucket: assets that are public anyway."""
    session = trail.session(at, pace=4)
    for _ in range(trail.rng.randint(4, 10)):
        asset = trail.pick("website")
        session.send(asset, WEBSITE_BUCKET, asset.bytes, "objects.put", 0.5)


def sync_directory(trail: Trail, at: datetime) -> None:
    """The identity service reads the directory."""
    trail.session(at).read(EMPLOYEE_DIRECTORY, action="directory.sync")


def purge(trail: Trail, at: datetime) -> None:
    """Rows past their retention go, thousands of them, after an analyst's yes."""
    session = trail.session(at, pace=25)
    table = trail.pick("analytics")
    approval = session.ask(trail.colleague("analyst"), "approve", f"retention purge of {table.uri}")
    left = volume(trail.rng, 2_000_000, 0.3)
    for _ in range(trail.rng.randint(1, 3)):
        count = volume(trail.rng, 30_000, 0.4)
        target = msgspec.structs.replace(table.target(), container_size=left)
        session.do("delete", "rows.purge", target=target, records=count, approval=approval)
        left -= count


def maintenance(trail: Trail, at: datetime) -> None:
    """Operations hold the agent for a while and let it go on; `background` keeps it quiet in between."""
    operator = trail.colleague("operations")
    why = {"reason": trail.rng.choice(("model update", "host patching", "prompt review", "quota change"))}
    trail.control(at, operator, "stop", trail.who, attributes=why)
    until = at + timedelta(minutes=trail.rng.uniform(12, 50))
    trail.control(until, operator, "resume", trail.who, attributes=why)
