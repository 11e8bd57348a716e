"""Known incidents: what a person found out about history, for a configuration to be held against."""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

import msgspec
import yaml
from pydantic import ValidationError

from detector.audit.answer import Span, records
from detector.config_base import ConfigError
from detector.scenario import Expectation
from detector.sessions import SessionLabel, read_labels
from detector.store.client import Store


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """An incident that must be caught.

    One of `principals` did it, between `begins` and `ends`; or it is a session, with the events `attack` (ids, or ids
    of spans) as its attack. `harm` is when it did harm first; None where history tells it: the attack's first event.
    """

    name: str
    principals: tuple[str, ...] = ()
    begins: datetime | None = None
    ends: datetime | None = None
    harm: datetime | None = None
    session: str | None = None
    attack: tuple[str, ...] = ()


def read(path: Path) -> list[Known]:
    """The incidents of a file: `expected.yaml` of a scenario, or the compromised ones of sessions as JSON lines.

    Raises:
        ConfigError: It is neither.
        OSError: It can't be read.
    """
    if path.suffix in {".yaml", ".yml"}:
        try:
            expected = Expectation.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
        except (yaml.YAMLError, ValidationError, UnicodeDecodeError) as error:
            first = str(error).splitlines()[0]
            raise ConfigError(f"{path}: not the expectation of a scenario, as sample_logs has them: {first}") from error
        return [_of_scenario(expected)] if expected.alerts else []
    try:
        labels = read_labels(path.read_bytes().splitlines())
    except ValueError as error:
        raise ConfigError(
            f"{path}: {error}; wanted are sessions as JSON lines, or the expected.yaml of a scenario"
        ) from error
    return [_of_session(label) for label in labels if label.compromised]


def _of_scenario(expected: Expectation) -> Known:
    """By those who did the harm, not by a bystander."""
    return Known(
        name=expected.scenario,
        principals=expected.alerts[0].names,
        begins=expected.incident.begins,
        ends=expected.incident.ends,
        harm=expected.first_harm.time,
    )


def _of_session(label: SessionLabel) -> Known:
    return Known(name=label.session, session=label.session, attack=label.attack_spans)


# The last verdict on each alert counts.
_CONFIRMED = """
SELECT id, opened_at, updated_at, principals
FROM alerts_current
WHERE id IN
(
    SELECT substring(subject, 7)
    FROM operator_actions
    WHERE action IN ('verdict', 'verdict_withdrawn') AND startsWith(subject, 'alert:')
        AND JSONExtractString(details, 'refused') = ''
    GROUP BY subject
    HAVING argMax(JSONExtractString(details, 'verdict'), time) = 'true'
)
AND detected_at >= {since:DateTime64(6, 'UTC')} AND detected_at < {until:DateTime64(6, 'UTC')}
ORDER BY opened_at, id
"""


def confirmed(store: Store, span: Span) -> list[Known]:
    """The alerts of a span on which people gave the verdict that they are true."""
    return [
        Known(
            name=row["id"], principals=tuple(row["principals"]), begins=row["opened_at"], ends=row["updated_at"],
            harm=row["opened_at"],
        )
        for row in records(store.client.query(_CONFIRMED, parameters=span.bound))
    ]  # fmt: skip


def told_apart(known: Iterable[Known]) -> list[Known]:
    """The incidents, each under a name of its own.

    Raises:
        ConfigError: Two have one name.
    """
    by_name: dict[str, Known] = {}
    for each in known:
        if each.name in by_name:
            raise ConfigError(f"the incident {each.name} is labelled twice")
        by_name[each.name] = each
    return list(by_name.values())
