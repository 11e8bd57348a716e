"""Thresholds for a budget: what is recorded, how it is tried, what is proposed, and whether it holds afterwards."""

import json
import math
import random
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner, Result

from detector.backtest.known import Known
from detector.backtest.play import Found, Played, Player, Raised
from detector.cli import app
from detector.config import Config
from detector.config_base import ConfigError
from detector.config_file import parse
from detector.history.rows import Row, blocks
from detector.overrides import Override
from detector.tune import chart
from detector.tune.answer import told
from detector.tune.fragment import fragment
from detector.tune.proposal import Proposal, base, propose, with_thresholds
from detector.tune.record import Recorder, Recording, Score
from detector.tune.trials import Aim, Trials, by_day, spread, week_spread
from tests.support import noisy

T0 = noisy.BEGIN.timestamp()
HOUR, DAY = 3600.0, 86400.0


def record(config: Config, rows: list[Row], since: datetime | None = None) -> Recording:
    recorder = Recorder(config, since)
    for block in blocks(rows):
        recorder.take(block)
    result = recorder.result()
    assert isinstance(result, Recording)
    return result


def score(day: float, who: str, value: float, detector: str = "transfer_rate", **fields: str) -> Score:
    return Score(T0 + day * DAY, who, fields.get("role", "courier"), fields.get("session"), detector, value)


def recording(
    *scores: Score, days: int = 10, raised: tuple[Raised, ...] = (), found: dict[str, Found] | None = None
) -> Recording:
    end = noisy.BEGIN + timedelta(days=days, seconds=-1)
    played = Played(
        events=1, counted=1, begun=noisy.BEGIN, first=noisy.BEGIN, last=end, findings=found or {},
        raised={alert.id: alert for alert in raised},
    )  # fmt: skip
    return Recording(played, sorted(scores))


def trials(told: Recording, aim: Aim, *known: Known) -> Trials:
    return Trials(told, Config(), known, aim)


def test_scores_are_taken_down_as_they_are_whatever_the_limit() -> None:
    rows = noisy.rows(noisy.couriers(3, 6, 12, 3.0))
    pinned = with_thresholds(Config(), Aim(1.0), {"transfer_rate": 5.0})
    plain, under = record(Config(), rows), record(pinned, rows)
    assert under.played.findings, "something is beyond five"
    for played in (plain, under):
        by_event = {found.score for found in played.played.findings.values() if found.detector == "transfer_rate"}
        taken = {round(each.score, 4) for each in played.scores}
        assert by_event <= taken, "no score is cut"
        assert min(each.score for each in played.scores) >= 1.0
        assert {each.detector for each in played.scores} <= {"transfer_rate", "behaviour", "mass_deletion"}
        assert {each.role for each in played.scores} == {"courier"}


def test_recording_changes_nothing() -> None:
    rows = noisy.rows(noisy.couriers(3, 6, 12, 3.0))
    player = Player(Config())
    player.take(rows)
    assert record(Config(), rows).played == player.result()


def test_scores_of_one_principal_within_the_window_are_one_alert() -> None:
    close = [score(1 + minute / 1440, "a", 5.0) for minute in (0, 60, 150, 300)]
    told = trials(recording(*close, score(1, "b", 5.0)), Aim(1.0))
    assert told.at({"transfer_rate": 4.0}).by_day == [0, 3, *[0] * 8], "150 minutes after an hour after; b's own"
    assert told.at({"transfer_rate": 5.0}).a_day == 0.0, "it must be passed, not reached"


def test_the_threshold_is_the_lowest_that_keeps_the_budget() -> None:
    falling = [score(day + 0.5, f"a{day}", 12.0 - day) for day in range(10)]
    for a_day, limit in ((0.1, 11.0), (0.2, 10.0), (0.5, 7.0)):
        trial = trials(recording(*falling), Aim(a_day, detector="transfer_rate")).choose(a_day)
        assert trial.thresholds == {"transfer_rate": limit}
        assert trial.a_day == pytest.approx(a_day)


def test_no_threshold_is_below_the_least() -> None:
    told = trials(recording(score(1, "a", 2.5), score(2, "b", 3.5)), Aim(5.0, least=3.0))
    assert set(told.choose(5.0).thresholds.values()) == {3.0}
    assert told.choose(5.0).a_day == 0.1
    assert trials(recording(score(1, "a", 2.5)), Aim(5.0, least=2.0)).choose(5.0).a_day == 0.1


def test_what_a_detector_can_not_use_of_its_share_goes_to_the_others() -> None:
    busy = [score(day + 0.1 * part, f"a{part}", 9.0) for day in range(10) for part in range(6)]
    told = trials(recording(*busy, score(3, "b", 9.0, "behaviour")), Aim(7.0))
    assert told.choose(7.0).a_day == pytest.approx(6.1)
    assert told.choose(7.0).thresholds["transfer_rate"] == 3.0


def test_a_role_or_a_detector_is_tuned_alone() -> None:
    scores = [score(1, "a", 9.0), score(2, "b", 9.0, role="clerk"), score(3, "c", 9.0, "behaviour")]
    assert trials(recording(*scores), Aim(1.0, role="clerk")).at({"transfer_rate": 3.0}).a_day == 0.1
    only = trials(recording(*scores), Aim(1.0, detector="behaviour"))
    assert list(only.choose(1.0).thresholds) == ["behaviour"]


def _raised(name: str, day: float, *findings: str, who: str = "a", detectors: tuple[str, ...] = ()) -> Raised:
    at = noisy.BEGIN + timedelta(days=day)
    return Raised(name, at, at, at, "SEV3", "", "", (who,), ("courier",), detectors, set(findings), set())


def test_alerts_that_no_threshold_moves_are_part_of_the_budget() -> None:
    fixed = _raised("a-1", 2, "f-1", detectors=("stop_violation",))
    moved = _raised("a-2", 3, "f-2", detectors=("transfer_rate",))
    by_share = _raised("a-3", 4, "f-3", detectors=("mass_deletion",))
    told = trials(
        recording(
            *(score(day + 0.5, f"a{day}", 9.0 - 0.1 * day) for day in range(10)),
            raised=(fixed, moved, by_share),
            found={
                "f-1": Found("stop_violation", "SEV2", 1.0, None),
                "f-2": Found("transfer_rate", "SEV3", 7.5, None),
                "f-3": Found("mass_deletion", "SEV3", 0.9, None),
            },
        ),
        Aim(0.5),
    )
    assert [alert.id for alert in told.fixed] == ["a-1", "a-3"]
    assert len(told.present) == 3
    chosen = told.choose(0.5)
    assert chosen.a_day == pytest.approx(0.5)
    assert chosen.by_day[2] >= 1, "the fixed ones are counted"


def test_what_tells_of_a_known_incident_is_no_false_alert_and_is_timed() -> None:
    harm = noisy.BEGIN + timedelta(days=5)
    known = Known(name="leak", principals=("a",), begins=harm, ends=harm + timedelta(days=1), harm=harm)
    scores = [score(5.25, "a", 6.0), score(5.5, "a", 9.0), score(5.25, "b", 9.0)]
    told = trials(recording(*scores), Aim(1.0), known)
    assert told.at({"transfer_rate": 4.0}).delays == {"leak": 0.25 * DAY}
    assert told.at({"transfer_rate": 8.0}).delays == {"leak": 0.5 * DAY}
    assert told.at({"transfer_rate": 10.0}).delays == {"leak": None}
    assert told.at({"transfer_rate": 4.0}).a_day == 0.1, "b's alone is false"
    session = Known(name="s-1", session="s-1", harm=harm)
    in_it = trials(recording(score(5.25, "z", 6.0, session="s-1")), Aim(1.0), session)
    assert in_it.at({"transfer_rate": 4.0}).delays == {"s-1": 0.25 * DAY}


def test_days_are_counted_and_drawn_anew() -> None:
    days = [T0 + DAY * day for day in range(3)]
    assert by_day([T0, T0 + DAY - 1, T0 + 2.5 * DAY], days) == [2, 0, 1]
    low, high = spread([0, 10] * 20, seed=1)
    assert low < 5.0 < high
    assert (low, high) == spread([0, 10] * 20, seed=1), "seeded"
    assert spread([4] * 30) == (4.0, 4.0)
    wide, narrow = spread([0, 10] * 5), spread([0, 10] * 50)
    assert narrow[1] - narrow[0] < wide[1] - wide[0]
    assert spread([]) == (0.0, 0.0)


def test_a_week_to_come_lies_in_its_range_nine_times_of_ten() -> None:
    """Of days with eight alerts each, about: four weeks of them are known, the fifth is not."""
    rng = random.Random(5)

    def days(count: int) -> list[int]:
        return [sum(rng.random() < 0.08 for _ in range(100)) for _ in range(count)]

    inside = 0
    for _ in range(200):
        low, high = week_spread(days(28))
        inside += low <= sum(days(7)) / 7 <= high
    assert 170 <= inside <= 192
    few, many = week_spread([2, 14, 6]), week_spread([2, 14, 6] * 40)
    assert few[1] - few[0] > many[1] - many[0], "few days say little"
    assert week_spread([]) == (0.0, 0.0)


def test_an_earlier_proposal_is_replaced_and_what_is_narrower_wins() -> None:
    mine = Override(name="backup", reason="nightly", roles=("backup",), detectors=("transfer_rate",), threshold=9.0)
    config = with_thresholds(Config(overrides=(mine,)), Aim(1.0), {"transfer_rate": 4.0})
    assert [each.name for each in config.overrides] == ["backup", "tuned-transfer_rate"]
    assert [each.name for each in base(config).overrides] == ["backup"]


def test_the_search_ends_where_the_budget_is_kept() -> None:
    """A history whose alerts fall with the threshold, but not as the recorded scores say."""
    played: list[float] = []

    def answer(config: Config) -> Recording:
        limit = next(each.threshold for each in config.overrides if each.name == "tuned-transfer_rate")
        assert limit is not None
        played.append(limit)
        count = round(400 * math.exp(-limit / 2.0))
        raised = tuple(
            _raised(f"a-{n}", 10 * n / count, f"f-{n}", who=f"a{n}", detectors=("transfer_rate",)) for n in range(count)
        )
        found = {f"f-{n}": Found("transfer_rate", "SEV3", 9.0, None) for n in range(count)}
        scores = [score(10 * n / count, f"a{n}", 3.0 + 6.0 * n / count) for n in range(count)]
        return recording(*scores, raised=raised, found=found)

    first = recording(*(score(day + 0.5, f"a{day}", 3.5 + day) for day in range(10)))
    proposal = propose(first, Config(), [], Aim(5.0, detector="transfer_rate"), answer)
    assert proposal.a_day == pytest.approx(5.0, rel=0.1)
    assert proposal.rounds == len(played) <= 6
    assert proposal.thresholds["transfer_rate"] == pytest.approx(2.0 * math.log(400 / 50), abs=0.4)
    assert proposal.low <= proposal.a_day <= proposal.high
    assert [point.budget for point in proposal.curve] == [1.25, 2.5, 3.75, 5.0, 7.5, 10.0, 20.0]
    assert [p.trial.a_day for p in proposal.curve] == sorted(p.trial.a_day for p in proposal.curve)


WARM_UP, COUNTED, UNSEEN = 21, 21, 7
ASKED = 7.0


def test_the_budget_is_kept_in_the_following_unseen_week() -> None:
    """80 couriers, 16 odd jobs a day: 49 alerts are asked for in the week, of which chance alone moves 14 %.

    The baseline of many weeks, which needs eight of them to settle, is left out for speed.
    """
    config = Config.model_validate({"detectors": {"transfer_rate": {"anchor": False}}})
    rows = noisy.rows(noisy.couriers(1, 80, WARM_UP + COUNTED + UNSEEN, 16.0, reports=3.0))
    since = noisy.BEGIN + timedelta(days=WARM_UP)
    end = since + timedelta(days=COUNTED)
    past = [row for row in rows if row.received_at < end.timestamp()]
    proposal = propose(record(config, past, since), config, [], Aim(ASKED), partial(record, rows=past, since=since))
    assert proposal.a_day == pytest.approx(ASKED, rel=0.15), "on the history that it was made from"
    tuned = parse(fragment(proposal, "couriers", "six weeks"), "proposal")
    player = Player(config.model_copy(update={"overrides": tuned.overrides}), end)
    player.take(rows)
    week = player.result()
    assert len(week.days) == UNSEEN
    assert len(week.alerts) / UNSEEN == pytest.approx(ASKED, rel=0.3)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("log") / "couriers.ndjson"
    path.write_bytes(b"\n".join(row.raw for row in noisy.rows(noisy.couriers(5, 12, 16, 6.0))))
    return path


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["tune", *map(str, arguments)])


def test_the_command_writes_a_fragment_a_chart_and_the_numbers(log: Path, tmp_path: Path) -> None:
    out, picture = tmp_path / "tuned.yaml", tmp_path / "chart.html"
    options = ["--budget", "2/day", "--from", "2026-03-09", "--role", "courier", "--format", "json"]
    done = invoke(log, *options, "--out", out, "--chart", picture)
    assert done.exit_code == 0, done.output
    answer = json.loads(done.stdout)
    assert answer["facts"]["asked"] == "2 alerts a day of role courier"
    assert [row["detector"] for row in answer["tables"]["thresholds"]] == ["transfer_rate"], "the others have no scores"
    assert any("warm-up included" in note for note in answer["notes"])
    tuned = parse(out.read_text(encoding="utf-8"), str(out))
    assert {each.roles for each in tuned.overrides} == {("courier",)}
    assert picture.read_text(encoding="utf-8").count("data:image/png;base64,") == 1
    assert "tuned-transfer_rate-courier" in picture.read_text(encoding="utf-8")
    again = invoke(log, "--out", out)
    assert isinstance(again.exception, ConfigError)
    assert "never written over" in str(again.exception)


def test_without_a_file_the_fragment_alone_is_on_standard_output(log: Path) -> None:
    done = invoke(log, "--budget", "7/week", "--detector", "transfer_rate")
    assert done.exit_code == 0, done.output
    tuned = parse(done.stdout, "stdout")
    assert [each.detectors for each in tuned.overrides] == [("transfer_rate",)]
    assert "1 alerts a day by transfer_rate" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--budget", "many"], "3/day, 0.5/day or 5/week"),
        (["--budget", "0/day"], "3/day, 0.5/day or 5/week"),
        (["--detector", "transfer_rates"], "did you mean `transfer_rate`"),
        (["--detector", "stop_violation"], "others have no scores to tune"),
        (["--chart", "chart.gif"], "must end in .png or .html"),
    ],
)
def test_what_can_not_be_done_is_said_before_history_is_played(arguments: list[str], said: str, log: Path) -> None:
    done = invoke(log, *arguments)
    assert done.exit_code == 2
    assert said in " ".join(done.stderr.replace("│", " ").split())


def test_standard_input_can_not_be_played_twice() -> None:
    assert "standard input" in " ".join(invoke("-").stderr.replace("│", " ").split())


def test_what_has_no_scores_gets_no_threshold(log: Path) -> None:
    done = invoke(log, "--role", "clerk")
    assert isinstance(done.exception, ConfigError)
    assert "nothing to tune" in str(done.exception)


def test_a_span_without_events_is_no_history(log: Path) -> None:
    done = invoke(log, "--from", "2027-01-01")
    assert isinstance(done.exception, ConfigError)
    assert "no events" in str(done.exception)


def _proposal(**changes: object) -> Proposal:
    first = recording(*(score(day + 0.5, f"a{day}", 3.5 + day) for day in range(10)))
    made = propose(first, Config(), [], Aim(0.5), lambda _: first, rounds=1)
    return msgspec.structs.replace(made, **changes)


def test_the_same_proposal_is_the_same_picture() -> None:
    proposal = _proposal(delays={"leak": 3.0}, delays_now={"leak": None})
    assert chart.png(proposal) == chart.png(proposal)
    assert chart.png(proposal).startswith(b"\x89PNG")
    assert len(chart.png(proposal)) > len(chart.png(_proposal())), "one panel more"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"fixed": 0.7, "fixed_by": {"new_endpoint": 0.7}}, "0.70 alerts a day come of fixed rules"),
        ({"fixed": 0.1, "fixed_by": {"new_endpoint": 0.1}}, "by what they rest on: new_endpoint 0.10. No threshold"),
        ({"thresholds": {"transfer_rate": 3.0}, "verified": [0] * 10}, "the budget is kept with room"),
        ({"days": 90, "verified": [1] * 10}, "10 days are no whole weeks"),
        ({"verified": [1] * 10}, "rests on 10 alerts"),
        ({"verified": [0, 0, *[5] * 14, *[9] * 7]}, "In the last week there were 63 alerts, before 35 a week"),
        ({"verified": [*[5] * 7, *[9] * 14]}, "In the first week there were 35 alerts, later 63 a week"),
    ],
)
def test_what_limits_the_proposal_is_said(changes: dict[str, object], said: str) -> None:
    assert said in " ".join(told(_proposal(**changes), "history").notes)


@pytest.mark.parametrize("verified", [[5] * 21, [9] * 7, [9] * 7 + [5] * 14, [5] * 14 + [6] * 7])
def test_no_rise_is_told_of_what_chance_may_bring(verified: list[int]) -> None:
    answer = told(_proposal(verified=verified), "history")
    assert "week there were" not in " ".join(answer.notes)
    assert ("by week" in answer.facts) is (len(verified) > 7)


def test_weeks_are_counted_back_from_the_last_day() -> None:
    assert _proposal(verified=[9, *[1] * 7, *[2] * 7]).weeks == [7, 14]
    assert told(_proposal(verified=[9, *[1] * 7, *[2] * 7]), "h").facts["by week"] == "7, 14, the last one last"
    assert _proposal(verified=[1] * 6).weeks == []


def test_incidents_are_in_the_fragment_and_in_the_numbers() -> None:
    proposal = _proposal(delays={"leak": 90.0, "slip": None}, delays_now={"leak": None, "slip": None})
    assert "# Known incidents caught: 0 of 2 as it was, 1 with this." in fragment(proposal, "history", "days")
    assert told(proposal, "history").facts["known incidents"] == "0 of 2, median - → 1 of 2, median 1 min 30 s"
