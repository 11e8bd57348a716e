"""Charters: an agent's own adds to its role's."""

import pytest

from detector.charter import Charter, Charters


@pytest.mark.parametrize(
    ("of_role", "own", "expected"), [(3600.0, 60.0, 60.0), (3600.0, None, 3600.0), (None, 9.0, 9.0)]
)
def test_an_agents_own_bound_for_grants_replaces_its_roles(
    of_role: float | None, own: float | None, expected: float | None
) -> None:
    charters = Charters({"ops": Charter(grants_end_within=of_role)}, {"agent-1": Charter(grants_end_within=own)})
    assert charters.of("agent-1", "ops").grants_end_within == expected
    assert charters.of("agent-2", "ops").grants_end_within == of_role


def test_what_either_demands_is_demanded_and_what_either_allows_is_allowed() -> None:
    role = Charter(needs_approval=frozenset({"publish"}), resources=("kb://*",))
    own = Charter(needs_approval=frozenset({"delete"}), resources=("wiki://*",))
    joined = Charters({"ops": role}, {"agent-1": own}).of("agent-1", "ops")
    assert joined.needs_approval == {"publish", "delete"}
    assert joined.resources == ("kb://*", "wiki://*")
