"""Whether a place lies outside, as far as one may trust what it is called."""

from typing import Final

from detector.detectors.base import Context
from detector.endpoints import Endpoint
from detector.events import Zone

PLACES: Final[frozenset[str]] = frozenset({"host", "bucket", "account", "segment"})


def effective_zone(endpoint: Endpoint, context: Context) -> Zone:
    """The zone that an endpoint is judged by.

    A place that is called approved, and that nobody in the fleet uses, is as good as a stranger's, unless this
    very act has its yes. People at approved places come and go: recipients are taken at their word. So is every
    name while the fleet is young. What the operator's own list approves is as much news as its source says:
    such findings are suppressed, and stay to be seen.
    """
    zone = context.vouched or endpoint.zone
    if zone != "approved" or endpoint.namespace not in PLACES or context.answer == "approved":
        return zone
    known = context.priors.knows(endpoint.namespace, endpoint.name)
    return "approved" if known else "external"
