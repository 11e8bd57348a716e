"""Which accounts of a cloud are the house's own by themselves: those whose audit logs it reads."""

from typing import Final

from detector.detectors.base import Context
from detector.events import Event

OWN_ACCOUNTS: Final = "own accounts"
"""The name under which the accounts are counted that logs were read of."""
ACCOUNT: Final = "account"
"""The attribute that tells whose log an event is of."""
KEPT_MOST: Final = 16


def is_ours(event: Event, context: Context) -> bool:
    """Whether the other account that a change lets in is one whose logs are read here.

    Those that the operator's lists vouch for come without `grantee_account`: see `detector.destinations.Zones`.
    """
    account = event.attributes.get("grantee_account")
    if not isinstance(account, str) or not account:
        return False
    return context.priors.users(context.principal.role, OWN_ACCOUNTS, account)[1] > 0


def learn_account(event: Event, known: dict[str, None], context: Context) -> None:
    """Count the account whose log the event is of, once for each principal; `known` are those it was counted for."""
    account = event.attributes.get(ACCOUNT)
    if not isinstance(account, str) or not account or account in known:
        return
    context.group.add_use(OWN_ACCOUNTS, account)
    known[account] = None
    if len(known) > KEPT_MOST:
        del known[next(iter(known))]
