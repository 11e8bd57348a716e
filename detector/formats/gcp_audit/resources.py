"""Google Cloud resources whose settings say who can reach them or what is logged -> what a call did."""

from collections.abc import Iterator
from typing import Any, Final

from detector.events import Audience, Change, Destination, Permission
from detector.formats.audit import Meaning, dig, joined, mappings, text, uri, whole, words_of
from detector.formats.gcp_audit.call import Call

_ANYWHERE: Final = frozenset({"0.0.0.0/0", "::/0", "0::0/0", "0.0.0.0/1", "128.0.0.0/1", "*"})
_EVERYBODY: Final = frozenset({"allUsers", "allAuthenticatedUsers"})
_DEFAULT_RETENTION_DAYS: Final = 30


def _disable(safeguard: str) -> Meaning:
    return Meaning("permission", Permission("disable", privilege=safeguard))


def firewall(call: Call) -> Iterator[Meaning]:
    """A rule made or changed: from where what may come in."""
    rule = call.request
    allowed = mappings(rule.get("alloweds")) or mappings(rule.get("allowed"))
    denied = mappings(rule.get("denieds")) or mappings(rule.get("denied"))
    ports = [":".join((text(a.get("IPProtocol")), *words_of(a.get("ports"))[:4])) for a in allowed]
    sources = words_of(rule.get("sourceRanges"))
    if rule.get("disabled") is True:
        yield _disable("firewall rule")
    elif denied or text(rule.get("direction")) == "EGRESS":
        change: Change = "narrow" if denied else "widen"
        yield Meaning("permission", Permission(change, audience="group", privilege="egress or denial"))
    else:
        new = call.operation.endswith("insert")
        guarded = mappings(rule.get("sourceTags")) or words_of(rule.get("sourceTags"))
        opens = any(source in _ANYWHERE for source in sources) or (new and not sources and not guarded and rule)
        whom: Audience = "public" if opens else "group" if sources or guarded else "unknown"
        privilege = text(f"ingress {joined(ports)}".rstrip())
        yield Meaning("permission", Permission("widen", joined(sources) or None, whom, privilege=privilege))


def subnetwork(call: Call) -> Iterator[Meaning]:
    """Flow logs switched off, private access switched on or off."""
    off = call.request.get("enableFlowLogs") is False or dig(call.request, "logConfig", "enable") is False
    yield _disable("VPC flow logs") if off else Meaning("call")


def instance_metadata(call: Call) -> Iterator[Meaning]:
    """SSH keys and start scripts travel in a machine's metadata."""
    deltas = [dig(call.metadata, "instanceMetaDelta"), dig(call.metadata, "projectMetadataDelta")]
    names = [name for d in deltas for kind in ("added", "modified") for name in words_of(dig(d, f"{kind}MetadataKeys"))]
    items = mappings(call.request.get("items")) + mappings(dig(call.request, "metadata", "items"))
    names += [text(item.get("key")) for item in items]
    if any("ssh" in name.lower() for name in names):
        yield Meaning("permission", Permission("grant", audience="user", privilege="credential:ssh key"))
    elif any("startup-script" in name or name == "serial-port-enable" for name in names):
        yield Meaning("permission", Permission("widen", audience="user", privilege=joined(names)))
    else:
        yield Meaning("call")


def database(call: Call) -> Iterator[Meaning]:
    """A Cloud SQL instance: networks let in, safeguards switched off."""
    body = call.request.get("body")
    settings = dig(body if isinstance(body, dict) else call.request, "settings")
    network = dig(settings, "ipConfiguration")
    let_in = [text(item.get("value")) for item in mappings(dig(network, "authorizedNetworks"))]
    found = []
    if let_in:
        whom: Audience = "public" if any(net in _ANYWHERE for net in let_in) else "group"
        found.append(Meaning("permission", Permission("widen", joined(let_in), whom, privilege="connect")))
    elif dig(network, "ipv4Enabled") is True:
        found.append(Meaning("permission", Permission("widen", audience="unknown", privilege="public address")))
    if dig(network, "requireSsl") is False:
        found.append(_disable("TLS"))
    if dig(settings, "backupConfiguration", "enabled") is False:
        found.append(_disable("backups"))
    if dig(settings, "deletionProtectionEnabled") is False:
        found.append(_disable("deletion protection"))
    yield from found or [Meaning("call")]


def database_export(call: Call) -> Iterator[Meaning]:
    """A Cloud SQL instance written to a bucket."""
    body = call.request.get("body")
    context = dig(body if isinstance(body, dict) else call.request, "exportContext")
    yield Meaning("transfer", destination=_bucket(text(dig(context, "uri"), 4096)))


def bucket(call: Call) -> Iterator[Meaning]:
    """A storage bucket's settings, where the log tells them."""
    iam = dig(call.request, "iamConfiguration") or dig(call.request, "bucket", "iamConfiguration")
    metadata = call.metadata
    if text(dig(iam, "publicAccessPrevention")) in {"inherited", "unspecified"}:
        yield _disable("public access prevention")
    elif dig(iam, "uniformBucketLevelAccess", "enabled") is False:
        yield _disable("uniform bucket-level access")
    elif "retentionPolicy" in call.request and not call.request["retentionPolicy"]:
        yield _disable("retention policy")
    elif mappings(dig(metadata, "bindingDeltas")) or "storage.buckets.setIamPolicy" in call.permissions:
        yield Meaning("permission", Permission("widen", privilege="setIamPolicy"))
    elif not call.request and not metadata:  # most logs keep silent about which setting it was
        yield Meaning("permission", Permission("widen", privilege="bucket settings"))
    else:
        yield Meaning("call")


def sink(call: Call) -> Iterator[Meaning]:
    """A log sink changed: what it leaves out, whether it runs, what it selects."""
    settings = call.request.get("sink")
    changed = text(call.request.get("updateMask"))
    if dig(settings, "disabled") is True:
        yield _disable("log sink")
    elif mappings(dig(settings, "exclusions")):
        yield _disable("log sink exclusions")
    elif not changed or any(part in changed for part in ("filter", "destination")):
        yield _disable("log sink")
    else:
        yield Meaning("call")


def new_sink(call: Call) -> Iterator[Meaning]:
    """Logs copied to a new place from now on."""
    place = text(dig(call.request, "sink", "destination"))
    yield Meaning("call", destination=Destination(account=place) if place else None)


def log_bucket(call: Call) -> Iterator[Meaning]:
    """How long logs are held."""
    days = dig(call.request, "bucket", "retentionDays")
    short = isinstance(days, int) and 0 < days < _DEFAULT_RETENTION_DAYS
    yield _disable("log retention") if short else Meaning("call")


def key_version(call: Call) -> Iterator[Meaning]:
    """A KMS key version switched off makes unreadable what it encrypts."""
    state = text(dig(call.request, "cryptoKeyVersion", "state"))
    off = state in {"DISABLED", "DESTROY_SCHEDULED", "2", "4"}
    yield _disable("encryption key") if off else Meaning("call")


def org_policy(call: Call) -> Iterator[Meaning]:
    """An organisation policy: lifted if it is no longer enforced, allows everything or was reset."""
    found = call.request.get("policy")
    rules = mappings(dig(found, "spec", "rules"))
    legacy = dig(found, "booleanPolicy")
    lifted = any(rule.get("enforce") in (False, "false") or rule.get("allowAll") in (True, "true") for rule in rules)
    lifted = lifted or dig(found, "spec", "reset") is True or dig(found, "listPolicy", "allValues") in ("ALLOW", 1)
    lifted = lifted or (isinstance(legacy, dict) and legacy.get("enforced") is not True)
    name = text(dig(found, "constraint")) or text(dig(found, "name")).rpartition("/policies/")[2]
    yield _disable(text(f"organisation policy {name}".rstrip())) if lifted else Meaning("call")


def bigquery(call: Call) -> Iterator[Meaning]:
    """A job or a change of a table: exports, copies, statements that destroy or read."""
    old = call.service_data
    job = dig(call.metadata, "jobChange", "job") or dig(call.metadata, "jobInsertion", "job")
    config = dig(job, "jobConfig") or dig(old, "jobInsertRequest", "resource", "jobConfiguration")
    done = dig(old, "jobCompletedEvent", "job") or dig(old, "jobGetQueryResultsResponse", "job")
    config = config or dig(done, "jobConfiguration")
    extract = dig(config, "extractConfig") or dig(config, "extract")
    if extract:
        places = words_of(dig(extract, "destinationUris"))
        source = text(dig(extract, "sourceTable"))
        size = whole(dig(job, "jobStats", "totalProcessedBytes"))
        place = _bucket(places[0]) if places else None
        at = uri(f"gcp://{source}") if source else ""
        yield Meaning("transfer", uri=at, destination=place, bytes_out=size, statement="EXPORT_TABLE")
        return
    copied = dig(config, "tableCopyConfig")
    if copied:
        table = text(dig(copied, "destinationTable"))
        yield Meaning("transfer", destination=Destination(account=table.partition("/datasets")[0] or None))
        return
    if dig(call.metadata, "tableDeletion") or dig(call.metadata, "datasetDeletion"):
        yield Meaning("delete", records=1)
        return
    query = dig(config, "queryConfig") or dig(config, "query")
    yield _statement(query, job or done) if query else _table(call)


def _statement(query: Any, job: Any) -> Meaning:
    kind = text(dig(query, "statementType")).upper()
    words = text(dig(query, "query"), 4096).upper().split(maxsplit=2)
    kind = kind or "_".join(words[:2])
    rows = whole(dig(job, "jobStats", "queryStats", "outputRowCount"))
    if kind.startswith(("DROP", "TRUNCATE", "DELETE")):
        return Meaning("delete", records=max(1, rows), statement=kind)
    if kind.startswith(("GRANT", "REVOKE")):
        change: Change = "grant" if kind.startswith("GRANT") else "revoke"
        return Meaning("permission", Permission(change, privilege=kind))
    read = whole(dig(job, "jobStats", "totalProcessedBytes")) or whole(dig(job, "jobStatistics", "totalProcessedBytes"))
    destroys_not = kind.startswith(("SELECT", "WITH", "EXPORT", "_")) or not kind
    if kind.startswith("EXPORT"):
        return Meaning("transfer", bytes_in=read, statement=kind)
    return Meaning("access" if destroys_not else "call", bytes_in=read)


def _table(call: Call) -> Meaning:
    read = dig(call.metadata, "tableDataRead")
    return Meaning("access") if isinstance(read, dict) or call.data_read else Meaning("call")


def dataset(call: Call) -> Iterator[Meaning]:
    """Who may reach a BigQuery dataset, as the whole list that was set."""
    entries = mappings(call.request.get("access")) or mappings(dig(call.request, "dataset", "access"))
    data = call.service_data
    for name in ("datasetUpdateRequest", "datasetInsertRequest"):
        entries = entries or mappings(dig(data, name, "resource", "acl", "entries"))
    bindings = mappings(dig(call.metadata, "datasetChange", "dataset", "acl", "policy", "bindings"))
    members = [(m, text(b.get("role"))) for b in bindings for m in words_of(b.get("members"))]
    for entry in entries:
        named = (entry.get(key) for key in ("specialGroup", "iamMember", "groupEmail", "userByEmail", "viewName"))
        members.append((next((text(name) for name in named if name), ""), text(entry.get("role"))))
    public = [(member, role) for member, role in members if member in _EVERYBODY]
    for member, role in public:
        yield Meaning("permission", Permission("widen", member, "public", privilege=role))
    if not public:
        changed = bool(members)
        yield Meaning("permission", Permission("widen", privilege="dataset access")) if changed else Meaning("call")


def _bucket(place: str) -> Destination | None:
    name = place.removeprefix("gs://").partition("/")[0]
    return Destination(account=f"gs://{name}"[:512]) if name else None
