"""What the activities of OCSF's classes mean: a table to read and to extend.

A class names where its target stands (see `targets`; the first that is there counts) and what each `activity_id`
does. In a change of reach, "@privileges", "@policy", "@roles" and "@group" stand for what the event names there; the
grantee is its `user`, or its group or role where the audience is one. What a class does not list is a call.

Classes 3007 and 3008 came after the schema that tests hold the table against (1.8.0).
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from detector.events import Audience, Change
from detector.formats.audit import Act


class Class(NamedTuple):
    """A class of events: its caption, where its target stands, and its activities."""

    name: str
    about: tuple[str, ...]
    acts: Mapping[int, Act]


def _grant(privilege: str, audience: Audience = "user", change: Change = "grant") -> Act:
    return Act("permission", change, privilege, audience)


def _revoke(privilege: str, audience: Audience = "user") -> Act:
    return _grant(privilege, audience, "revoke")


ACCESS, AUTH, CALL, DELETE, TRANSFER = Act("access"), Act("auth"), Act("call"), Act("delete"), Act("transfer")

_ACCOUNT: Final = {
    1: _grant("account"),  # Create
    2: _grant("account"),  # Enable
    3: _grant("credential:password"),  # Password Change
    4: _grant("credential:password"),  # Password Reset
    5: _revoke("account"),  # Disable
    6: DELETE,
    7: _grant("@policy"),  # Attach Policy
    8: _revoke("@policy"),  # Detach Policy
    9: AUTH,  # Lock: what a system does after wrong passwords
    10: _grant("credential:MFA factor"),  # MFA Factor Enable
    11: _grant("MFA", change="disable"),  # MFA Factor Disable
    12: _grant("account"),  # Unlock
}
_GROUP: Final = {
    1: _grant("@privileges", "group"),  # Assign Privileges
    2: _revoke("@privileges", "group"),  # Revoke Privileges
    3: _grant("@group"),  # Add User
    4: _revoke("@group"),  # Remove User
    5: DELETE,
    6: CALL,  # Create: an empty group opens nothing
    7: _grant("@group", "group"),  # Add Subgroup
    8: _revoke("@group", "group"),  # Remove Subgroup
}
_USER: Final = {
    1: _grant("account"),  # Create
    3: DELETE,
    4: _grant("account"),  # Enable
    5: _revoke("account"),  # Disable
    6: AUTH,  # Lock
    7: _grant("account"),  # Unlock
    8: _grant("credential:password"),  # Password Change
    9: _grant("credential:password"),  # Password Reset
    10: _grant("@policy"),  # Attach Policies
    11: _revoke("@policy"),  # Detach Policies
    12: _grant("credential:MFA factor"),  # MFA Factor Enable
    13: _grant("MFA", change="disable"),  # MFA Factor Disable
    14: _grant("@privileges"),  # Assign Privileges
    15: _revoke("@privileges"),  # Remove Privileges
    16: _grant("@roles"),  # Assign Roles
    17: _revoke("@roles"),  # Remove Roles
}
_ROLE: Final = {
    3: DELETE,
    4: _grant("@privileges", "group", "widen"),  # Assign Privileges
    5: _revoke("@privileges", "group"),  # Remove Privileges
    6: _grant("resources", "group", "widen"),  # Assign Resources
    7: _revoke("resources", "group"),  # Remove Resources
    8: _grant("@policy", "group", "widen"),  # Attach Policies
    9: _revoke("@policy", "group"),  # Detach Policies
    10: _grant("credential:programmatic", "group"),  # Add Programmatic Credentials
    11: _revoke("credential:programmatic", "group"),  # Remove Programmatic Credentials
}
_DATASTORE: Final = {
    1: ACCESS,  # Read
    2: CALL,  # Update
    3: AUTH,  # Connect
    4: ACCESS,  # Query
    5: CALL,  # Write
    6: CALL,  # Create
    7: DELETE,
    8: ACCESS,  # List
    9: CALL,  # Encrypt
    10: ACCESS,  # Decrypt
}
_WEB: Final = {
    1: CALL,  # Create
    2: ACCESS,  # Read
    3: CALL,  # Update
    4: DELETE,
    5: ACCESS,  # Search
    6: CALL,  # Import
    7: TRANSFER,  # Export
    8: _grant("share", "unknown", "widen"),  # Share
}
_FILES: Final = {
    1: TRANSFER,  # Upload
    2: ACCESS,  # Download
    4: DELETE,
    9: ACCESS,  # Preview
    12: _grant("share", "unknown", "widen"),  # Share
    13: _grant("share", "unknown", "narrow"),  # Unshare
    14: ACCESS,  # Open
    15: ACCESS,  # Sync
}
# How a managed entity changes; what that means for who can reach what depends on the entity: see `words`.
ENTITY: Final[Mapping[int, str]] = {
    1: "create",
    2: "read",
    3: "update",
    4: "delete",
    5: "move",
    6: "enroll",
    7: "disable",  # Unenroll
    8: "enable",
    9: "disable",
    10: "enable",  # Activate
    11: "disable",  # Deactivate
    12: "disable",  # Suspend
    13: "enable",  # Resume
}
CLASSES: Final[Mapping[int, Class]] = {
    3001: Class("Account Change", ("user",), _ACCOUNT),
    3002: Class("Authentication", ("service", "endpoint"), dict.fromkeys(range(1, 8), AUTH)),
    3003: Class("Authorize Session", ("endpoint", "user"), {1: _grant("@privileges"), 2: _grant("@group")}),
    3004: Class("Entity Management", ("entity",), {}),
    3005: Class("User Access Management", ("things", "user"), {1: _grant("@privileges"), 2: _revoke("@privileges")}),
    3006: Class("Group Management", ("things", "group"), _GROUP),
    3007: Class("User Management", ("user",), _USER),
    3008: Class("Role Management", ("role",), _ROLE),
    4001: Class("Network Activity", ("endpoint",), {}),
    4002: Class("HTTP Activity", ("url", "endpoint"), {}),
    6001: Class("Web Resources Activity", ("things",), _WEB),
    6002: Class("Application Lifecycle", ("app",), {2: DELETE}),
    6003: Class("API Activity", ("things", "observable", "api"), {2: ACCESS, 4: DELETE}),
    6005: Class("Datastore Activity", ("bucket", "table", "things", "observable", "api"), _DATASTORE),
    6006: Class("File Hosting Activity", ("file",), _FILES),
}

# The classes in which an act on one's own account is a login's upkeep, by activity.
SELF_SERVICE: Final[Mapping[int, frozenset[int]]] = {
    3001: frozenset({3, 4, 10, 12}),
    3003: frozenset({1, 2}),
    3007: frozenset({7, 8, 9, 12}),
}

# Names of everybody, as products write them in place of a user or a group.
AUDIENCES: Final[Mapping[str, Audience]] = {
    **dict.fromkeys(("*", "allusers", "everyone", "anyone", "anonymous", "public", "world"), "public"),
    **dict.fromkeys(("system:anonymous", "system:unauthenticated", "anonymous logon", "guest"), "public"),
    **dict.fromkeys(("allauthenticatedusers", "system:authenticated", "authenticated users"), "org"),
    **dict.fromkeys(("all users", "all company", "all staff", "domain users", "everyone except external users"), "org"),
}
