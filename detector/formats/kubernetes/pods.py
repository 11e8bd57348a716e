"""Pods, and the templates of workloads, that get the rights of the node they run on.

A pod may do to its node what the Baseline pod security standard forbids: run privileged, share the host's
namespaces, mount its paths, hold capabilities beyond the usual. Whoever writes such a pod grants its
containers the node, so the write is a grant: the grantee is the pod's service account. The control plane only
copies templates that somebody else wrote, and mirrors what a node's own files say: its writes are calls.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from detector.events import Permission
from detector.formats.kubernetes.acts import ELEVATED, Act, Meaning, account, changed

# What Baseline lets a container add.
_USUAL: Final = frozenset(
    {
        *("AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE"),
        *("SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"),
    }
)


_SYSTEM_NAMESPACES: Final = frozenset({"kube-system", "kube-public", "kube-node-lease"})


class _Capabilities(msgspec.Struct):
    add: list[str] | None = None


class _Windows(msgspec.Struct, rename="camel"):
    host_process: bool | None = None


class _SecurityContext(msgspec.Struct, rename="camel"):
    privileged: bool | None = None
    capabilities: _Capabilities | None = None
    proc_mount: str | None = None
    windows_options: _Windows | None = None


class _Container(msgspec.Struct, rename="camel"):
    security_context: _SecurityContext | None = None


class _Path(msgspec.Struct):
    path: str | None = None


class _Volume(msgspec.Struct, rename="camel"):
    host_path: _Path | None = None


class _Template(msgspec.Struct):
    spec: "_Spec | None" = None


class _Spec(msgspec.Struct, rename="camel"):
    """A pod's spec, or that of a workload with a template of one in it."""

    containers: list[_Container] | None = None
    init_containers: list[_Container] | None = None
    ephemeral_containers: list[_Container] | None = None
    volumes: list[_Volume] | None = None
    security_context: _SecurityContext | None = None
    service_account_name: str | None = None
    host_network: bool | None = None
    host_pid: bool | None = msgspec.field(default=None, name="hostPID")
    host_ipc: bool | None = msgspec.field(default=None, name="hostIPC")
    template: _Template | None = None
    job_template: _Template | None = None


class _Workload(msgspec.Struct):
    spec: _Spec | None = None
    template: _Template | None = None


def workload(act: Act) -> Meaning:
    """A pod or a workload written: a grant if its containers get the node, a call else."""
    written = act.audit.written(_Workload) or act.audit.answered(_Workload)
    spec = _innermost(written) if written and act.actor.kind != "service" else None
    if spec is None:
        return Meaning()
    held = tuple(dict.fromkeys((*_rights(spec), *_placed(act))))
    if not held:
        return _lasting(act, spec)
    whose = account(act.namespace, spec.service_account_name or "default")
    words = (ELEVATED + ", ".join(held[:8]))[:512]
    return changed(Permission(act.change, whose, "user", 1, words))


def _placed(act: Act) -> Iterator[str]:
    """What a new workload gets by where it is put: beside the control plane, or on every node."""
    if act.verb == "create" and act.namespace in _SYSTEM_NAMESPACES:
        yield f"workload in {act.namespace}"
    if act.verb == "create" and act.audit.resource == "daemonsets":
        yield "workload on every node"


def _lasting(act: Act, spec: _Spec) -> Meaning:
    """A job that comes back by itself: a grant of the service account that it runs as; a call else."""
    if act.verb != "create" or act.audit.resource != "cronjobs":
        return Meaning()
    whose = account(act.namespace, spec.service_account_name or "default")
    return changed(Permission("grant", whose, "user", 1, "scheduled job"))


def _innermost(written: _Workload) -> _Spec | None:
    spec = written.spec or (written.template.spec if written.template else None)
    for _ in range(2):  # a cron job's template holds a job's
        outer = spec and (spec.job_template or spec.template)
        spec = outer.spec if outer else spec
    return spec


def _rights(spec: _Spec) -> Iterator[str]:
    for held, name in (
        (spec.host_pid, "hostPID"),
        (spec.host_network, "hostNetwork"),
        (spec.host_ipc, "hostIPC"),
    ):
        if held:
            yield name
    if spec.security_context is not None:
        yield from _of_context(spec.security_context)
    for container in (*(spec.containers or ()), *(spec.init_containers or ()), *(spec.ephemeral_containers or ())):
        if container.security_context is not None:
            yield from _of_context(container.security_context)
    for volume in spec.volumes or ():
        if volume.host_path is not None:
            yield f"hostPath {(volume.host_path.path or '')[:128]}"


def _of_context(context: _SecurityContext) -> Iterator[str]:
    if context.privileged:
        yield "privileged container"
    if context.windows_options is not None and context.windows_options.host_process:
        yield "hostProcess"
    if context.proc_mount == "Unmasked":
        yield "unmasked /proc"
    added = context.capabilities.add if context.capabilities else None
    for name in added or ():
        plain = name.upper().removeprefix("CAP_")
        if plain not in _USUAL:
            yield f"capability {'ALL' if plain == 'ALL' else plain}"
