"""Things that hold many others, by the words of the act on them: a bucket, a snapshot, a key, a repository.

Destroying one, or handing one over, is grave however few calls it takes. An act's name is read in any of the ways
that sources write it: "s3:DeleteBucket", "storage.buckets.delete", "delete namespaces", "drop_table".
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final, NamedTuple

from detector.events import Event, Kind

_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")

_DATA: Final = "all the data in it"
_BACKUP: Final = "what would bring data back"
_KEYS: Final = "what it encrypts or opens"
_ACCOUNTS: Final = "everything in it"
_MACHINE: Final = "a machine and its disks"
_TRACES: Final = "traces of what was done"

# The last words of an act's noun -> what goes with it. Two words count before one; "" takes a meaning away.
HOLDINGS: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        (
            *("bucket", "database", "db", "db cluster", "table", "dataset", "schema", "keyspace", "index", "catalog"),
            *("file system", "filesystem", "volume", "disk", "file share", "datastore", "knowledge base", "mailbox"),
            *("persistentvolume", "persistentvolumeclaim", "domain", "collection", "drive", "workspace", "cluster"),
            *(
                "db instance",
                "registry",
                "package",
                "package version",
                "data lake",
                "store",
                "hosted zone",
                "managed zone",
                "user pool",
            ),
        ),
        _DATA,
    ),
    **dict.fromkeys(
        (
            *("snapshot", "backup", "recovery point", "vault", "archive", "backup vault", "automated backup"),
            # of machines and disks; those of containers are built anew each day
            *("ec image", "compute image", "machine image", "disk image", "store image", "ami"),
        ),
        _BACKUP,
    ),
    **dict.fromkeys(
        (
            *("kms key", "crypto key", "key version", "secret", "secret version", "key ring", "key material"),
            *("key store", "key vault"),
        ),
        _KEYS,
    ),
    **dict.fromkeys(
        (
            *("project", "account", "organization", "organisation", "org", "business", "enterprise", "tenant"),
            *("namespace", "stack", "repo", "repository", "customresourcedefinition", "resource group", "folder"),
            *("vpc", "subscription", "user", "service account", "application"),
        ),
        _ACCOUNTS,
    ),
    **dict.fromkeys(("instance", "vm", "virtual machine"), _MACHINE),
    **dict.fromkeys(("log group", "log stream", "log file", "audit log"), _TRACES),
    **dict.fromkeys(
        (
            *("route table", "cache cluster", "event subscription", "parameter group", "mapping user", "git repo"),
            *("vpc endpoint service account", "job instance", "task instance", "scratch volume", "topic subscription"),
        ),
        "",
    ),
}
# Nouns that are better known by another name.
_NAMES: Final[Mapping[str, str]] = dict.fromkeys(("ec image", "compute image", "store image"), "machine image")
# Words that say what is done or where, not to what.
_NO_NOUNS: Final = frozenset(
    (
        *("delete", "deleted", "remove", "removed", "destroy", "destroyed", "terminate", "purge", "drop", "wipe"),
        *("truncate", "schedule", "deletion", "batch", "close", "erase", "archived", "deregister", "initiated"),
        *("lifecycle", "completed", "create", "copy", "start", "transfer", "transferred", "outgoing", "export"),
        *("download", "move", "replicate", "admin", "insert", "manual", "final", "permanently", "disable"),
        *("task", "job", "request", "with", "all", "v", "beta", "alpha", "force", "deletecollection", "by"),
        *("restore", "clone", "put", "replication", "imported"),
    )
)
# Where these stand, what follows is not what the act is done to.
_ELSEWHERE: Final = frozenset({"from", "to", "in", "into", "on", "at", "behind"})
_DESTROYS: Final = frozenset(
    (
        *("delete", "deleted", "remove", "removed", "destroy", "destroyed", "terminate", "purge", "drop", "wipe"),
        *("truncate", "deletion", "close", "erase", "archived", "deregister", "empty", "clear", "deletecollection"),
    )
)
_UNDONE: Final[Mapping[str, str]] = {"archived": "archived", "schedule": "set a day for the end of"}
# Taking these out of something ends nothing: a member of a channel, a package on a machine.
_TAKEN_OUT: Final = frozenset({"remove", "removed"})
_MOVABLE: Final = frozenset({"user", "application", "package", "package version", "service account"})

_COPIES: Final = frozenset(
    (
        *("copy", "create", "insert", "export", "clone", "replicate", "replication", "mirror", "backup", "share"),
        *("migrate", "transfer", "transferred", "snapshot"),
    )
)
# What is no store, though much may hang on it.
_NO_STORES: Final = frozenset({*_MOVABLE, "account", "subscription", "namespace", "stack", "vpc", "resource group"})
_EXPORTS: Final = frozenset({"export", "exports", "replicate", "replication", "mirror", "download"})
# An operation as clouds name it: one that exports takes a whole store, whatever its noun. Tools export calendars.
_OPERATION: Final = re.compile(r"[\w.-]+[:.][A-Z]\w+")
# Acts that are exports by another name: GitHub's of repositories.
_EXPORT_ACTS: Final = frozenset({"migration.create"})
# What a download is grave of; single files come and go.
_RECORDS: Final = frozenset({"audit", "repo", "repository", "snapshot", "database", "db", "backup"})

# Destroying these is noted however often it is done: what opens or brings back all else, and its traces.
_GUARDED: Final = frozenset({_BACKUP, _KEYS, _TRACES})
_GUARDED_NOUNS: Final = frozenset(
    ("project", "account", "organization", "organisation", "org", "business", "enterprise", "tenant", "subscription")
)
# Whose work for somebody is part of something larger that was asked for: a stack, a plan of backups, a group of
# machines, a database. Others (workflows, schedules, runbooks) do whatever they are told, by whoever told them.
_OWN_WORK: Final = frozenset(
    (
        *("cloudformation", "servicecatalog", "controltower", "elasticbeanstalk", "backup", "dlm", "autoscaling"),
        *("application-autoscaling", "ec2", "ec2fleet", "spot", "spotfleet", "rds", "redshift", "dynamodb", "fsx"),
        *("elasticfilesystem", "eks", "ecs", "elasticloadbalancing", "elasticmapreduce", "workspaces"),
    )
)
# A verb of Kubernetes.
COLLECTION: Final = "deletecollection"


@lru_cache(maxsize=4096)
def words(action: str) -> tuple[str, ...]:
    """The words of an act's name, lower case, in the singular.

    >>> words("s3:DeleteBucket"), words("storage.buckets.delete"), words("rds:DeleteDBClusterSnapshot")
    (('s', 'delete', 'bucket'), ('storage', 'bucket', 'delete'), ('rds', 'delete', 'db', 'cluster', 'snapshot'))
    """
    return tuple(_singular(word.lower()) for word in _WORD.findall(action[:256]))


def _singular(word: str) -> str:
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "rds", "kms", "us")) else word


class Loss(NamedTuple):
    """What an act destroyed: its noun, what went with it, whether it is noted at any rate.

    `undone` says in what way it can still be undone; "" if it is gone.
    """

    noun: str
    held: str
    guarded: bool = False
    undone: str = ""


@lru_cache(maxsize=4096)
def held_by(action: str) -> tuple[str, str] | None:
    """The noun of an act on something that holds many others, and what goes with it; None for others.

    >>> held_by("kms:ScheduleKeyDeletion"), held_by("ec2:DeleteRouteTable"), held_by("rows.purge")
    (('kms key', 'what it encrypts or opens'), None, None)
    >>> held_by("google.cloud.kms.v1.KeyManagementService.DestroyCryptoKeyVersion")
    ('key version', 'what it encrypts or opens')
    >>> held_by("delete namespaces"), held_by("delete pods"), held_by("delete_from_folder")
    (('namespace', 'everything in it'), None, None)
    """
    spoken = words(action)
    end = next((i for i, word in enumerate(spoken) if word in _ELSEWHERE), len(spoken))
    nouns = [word for word in spoken[:end] if word not in _NO_NOUNS]
    if not nouns and "backup" in spoken:  # both a verb and a thing
        nouns = ["backup"]
    for noun in (" ".join(nouns[-2:]), *nouns[-1:]):
        if noun in HOLDINGS:
            held = HOLDINGS[noun]
            return (noun, held) if held else None
    return None


def by_service(event: Event) -> bool:
    """Whether a service did it for somebody, as part of something larger: a stack, a plan of backups."""
    if not event.attributes:
        return False
    told = (event.attributes.get("invoked_by"), event.attributes.get("source_ip"))
    return any(
        isinstance(name, str) and name.endswith(".amazonaws.com") and name.partition(".")[0] in _OWN_WORK
        for name in told
    )


def act_of(event: Event) -> str:
    """The name of the act: the statement that a general call carried, else the action."""
    statement = event.attributes.get("statement") if event.attributes else None
    return statement if isinstance(statement, str) and statement else event.action


def lost(event: Event) -> Loss | None:
    """What an act destroyed that holds much.

    None for what services clear away, since somebody ended what it belonged to, and that is told.
    """
    if event.actor.kind == "service" or by_service(event):
        return None
    action = act_of(event)
    spoken = words(action)
    if spoken[:1] == (COLLECTION,):
        return Loss(f"collection of {' '.join(spoken[1:])}s".strip(), "all of its kind")
    found = held_by(action) if _DESTROYS.intersection(spoken) else None
    if found is None or (found[0] in _MOVABLE and _TAKEN_OUT.intersection(spoken)):
        return None
    noun, held = _NAMES.get(found[0], found[0]), found[1]
    undone = next((way for word, way in _UNDONE.items() if word in spoken), "")
    return Loss(noun, held, held in _GUARDED or noun in _GUARDED_NOUNS, undone)


def exported(event: Event) -> str:
    """What an act copies or hands over whole, "" if that is not its meaning or its volume is told.

    Of volumes that are told, rates judge.
    """
    if event.kind not in {"access", "transfer"}:
        return ""
    if (event.bytes_out or event.records > 1) and "statement" not in event.attributes:
        return ""
    return _taken(event.kind, act_of(event))


@lru_cache(maxsize=4096)
def _taken(kind: Kind, action: str) -> str:
    """What an access or a transfer by this name copies or hands over whole."""
    spoken = words(action)
    if kind == "access":
        return "a download" if _EXPORTS.intersection(spoken) and _RECORDS.intersection(spoken) else ""
    found = held_by(action) if _COPIES.intersection(spoken) else None
    if found is not None:
        return "" if found[0] in _NO_STORES else _NAMES.get(found[0], found[0])
    exports = _OPERATION.fullmatch(action) and _EXPORTS.intersection(spoken)
    return "an export" if exports or action in _EXPORT_ACTS else ""
