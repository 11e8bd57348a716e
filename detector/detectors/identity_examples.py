"""Uses of identities that `identity_misuse` fires at, and their daily twins."""

from typing import Any, Final

from detector.detectors.base import Example, sample
from detector.events import Actor, Event, Target


def _use(minute: float, *, actor: Actor | None = None, action: str = "get", **attributes: Any) -> Event:
    kind = attributes.pop("kind", "access")
    outcome = attributes.pop("outcome", "success")
    target = Target(uri=attributes.pop("uri", "k8s://prod/web/pods"))
    return sample(minute, actor=actor, kind=kind, action=action, target=target, outcome=outcome, attributes=attributes)


_NOBODY: Final = Actor(id="system:anonymous")
_MACHINE: Final = Actor(id="role/web", session="i-0317f6c6b66ae9c40")
_HOURS: Final = [_use(60.0 * hour, source_ip="52.1.2.3", user_agent="Boto3/1.3") for hour in range(200)]
_ELSEWHERE: Final = _use(13000, source_ip="185.4.5.6", user_agent="curl/8")
_ENTERING: Final = [_use(1440.0 * day, remote_command="exec") for day in range(6)]
_MAC: Final = "aws-cli/1.18 Python/3.8 Darwin/19.6"
EXAMPLES: Final = (
    Example("nobody reads the pods", [_use(0, actor=_NOBODY, anonymous=True)], ("anonymous",)),
    Example("the source calls it suspicious", [_use(0, kind="auth", alarm=True)], ("alarm",)),
    Example("root signs on", [_use(0, kind="auth", root=True)], ("root_used",)),
    Example("a password alone", [_use(0, kind="auth", second_factor=False)], ("one_factor",)),
    Example("two unusual things", [_use(0, kind="auth", unusual="New IP, New Device")], ("unusual_sign_on",)),
    Example("a shell in a pod", [_use(0, remote_command="exec")], ("entered",)),
    Example("a fork's code in the pipeline", [_use(0, outside_code="stranger/app")], ("outside_code",)),
    Example("in the masters' name", [_use(0, impersonated_groups=["system:masters"])], ("impersonated",)),
    Example("an instance's role on a desktop", [_use(0, actor=_MACHINE, user_agent=_MAC)], ("out_of_place",)),
    Example("200 hours here, then elsewhere", [*_HOURS, _ELSEWHERE], ("new_network",)),
    Example("nobody is turned away", [_use(0, actor=_NOBODY, anonymous=True, outcome="denied")], ()),
    Example("one unusual thing", [_use(0, kind="auth", unusual="New IP")], ()),
    Example("a sign-on with both factors", [_use(0, kind="auth", second_factor=True)], ()),
    Example("a shell each day", _ENTERING, ()),
    Example("an instance's role on its instance", [_use(0, actor=_MACHINE, user_agent="aws-cli Linux/5")], ()),
    Example("a new network at the start", [_use(0, source_ip="52.1.2.3"), _use(9, source_ip="185.4.5.6")], ()),
    Example("an address nearby", [*_HOURS, _use(13000, source_ip="52.1.9.9", user_agent="curl/8")], ()),
)
