"""The vectors of `detector.activity` over a history, by group-by instead of event by event: the same numbers."""

from typing import Final

import numpy as np
import pandas as pd

from detector.activity import ACTS, FEATURES, HOUR, NAMES, clock_angle

EVENT_COLUMNS: Final = (
    *("principal", "role", "time", "kind", "outcome", "bytes_out", "bytes_in", "records"),
    *("action", "target", "destination", "outside", "sensitive"),
)
"""Columns of a frame of events, one act a row in order of arrival. `time` is in unix seconds; `action`,
`target` and `destination` are sums by `detector.activity.name_sum` (0 for none); the last two are truths."""

KEYS: Final = ("principal", "role", "hour", "acts")
"""Columns that tell whose vector it is, of which hour (counted from the epoch), after how many acts."""


def snapshots(events: pd.DataFrame) -> pd.DataFrame:
    """The vectors that the challenger would have judged: after the 1st, 2nd, 4th, 8th … act of each hour.

    Args:
        events: Columns as `EVENT_COLUMNS`. The hours in it are taken for whole ones.

    Returns:
        Columns as `KEYS`, then as `detector.activity.NAMES`, each of these from 0 to 1; one row a vector.
    """
    events = events.assign(hour=(events["time"] // HOUR).astype("int64"))
    # As online: an act of an hour that is over for its principal comes too late to count.
    events = events[events["hour"] >= events.groupby("principal", sort=False)["hour"].cummax()]
    group = events.groupby(["principal", "hour"], sort=False).ngroup()
    sums = _amounts(events, group).groupby(group, sort=False).cumsum()
    acts = sums["events"].to_numpy().astype("int64")
    judged = (acts & (acts - 1)) == 0
    sums, acts = sums[judged], acts[judged]
    keys = events.loc[judged, ["principal", "role", "hour"]].assign(acts=acts)
    return pd.concat([keys, _scaled(sums, keys["hour"])], axis=1).reset_index(drop=True)


def _amounts(events: pd.DataFrame, group: "pd.Series[int]") -> pd.DataFrame:
    """What each act adds to the quantities of its principal's hour."""
    amounts = {"events": np.ones(len(events))}
    amounts |= {f"{kind}_events": (events["kind"] == kind).to_numpy(float) for kind in ACTS}
    amounts["failed_share"] = (events["outcome"] == "failure").to_numpy(float)
    amounts["denied_share"] = (events["outcome"] == "denied").to_numpy(float)
    for name in ("bytes_out", "bytes_in", "records"):
        amounts[name] = events[name].to_numpy(float)
    amounts["bytes_outside"] = amounts["bytes_out"] * events["outside"].to_numpy(float)
    for names, name in (("actions", "action"), ("targets", "target"), ("destinations", "destination")):
        first = ~pd.DataFrame({"group": group, "name": events[name]}).duplicated()
        amounts[names] = (first & (events[name] != 0)).to_numpy(float)
    amounts["outside_share"] = events["outside"].to_numpy(float)
    amounts["sensitive_share"] = events["sensitive"].to_numpy(float)
    return pd.DataFrame(amounts, index=events.index)


def _scaled(sums: pd.DataFrame, hours: "pd.Series[int]") -> pd.DataFrame:
    """The quantities of hours so far as numbers from 0 to 1."""
    angles = hours.map(clock_angle).to_numpy(float)
    columns = {"hour_sine": 0.5 + 0.5 * np.sin(angles), "hour_cosine": 0.5 + 0.5 * np.cos(angles)}
    for feature in FEATURES:
        if feature.name in columns:
            continue
        values = sums[feature.name].to_numpy(float)
        if feature.most is None:
            columns[feature.name] = values / sums["events"].to_numpy(float)
        else:
            columns[feature.name] = np.minimum(1.0, np.log1p(values) / np.log1p(feature.most))
    return pd.DataFrame({name: columns[name] for name in NAMES}, index=sums.index)
