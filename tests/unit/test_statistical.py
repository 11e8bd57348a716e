"""Which alerts statistics alone raised, and which tests were improbable: what the budget and the drift are told by."""

from detector.metrics import Metrics
from detector.statistical import StatisticalAlerts
from tests.support.nouns import a_finding, an_alert


def test_an_alert_is_of_statistics_when_all_its_findings_have_a_p_value() -> None:
    alerts = StatisticalAlerts()
    for finding in (a_finding(1, p_value=1e-6), a_finding(2, p_value=None), a_finding(3, p_value=1e-4)):
        alerts.see(finding)
    both, mixed = an_alert(1, finding_ids=("f-1", "f-3")), an_alert(2, finding_ids=("f-1", "f-2"))
    unknown = an_alert(3, finding_ids=("f-1", "of-yesterday"))
    assert alerts.among([both]) == 1
    assert alerts.among([mixed]) == 0
    assert alerts.among([unknown]) == 0, "what is not known may have been a rule"
    assert alerts.among([both, mixed, both]) == 2


def test_later_versions_are_the_same_alert() -> None:
    alerts = StatisticalAlerts()
    alerts.see(a_finding(1, p_value=1e-6))
    later = an_alert(1, version=2, status="updated", finding_ids=("f-1",))
    assert alerts.among([later]) == 0


def test_the_oldest_findings_are_forgotten() -> None:
    alerts = StatisticalAlerts(most=2)
    for number in (1, 2, 2, 3):
        alerts.see(a_finding(number, p_value=1e-6))
    each = [alerts.among([an_alert(number, finding_ids=(f"f-{number}",))]) for number in (1, 2, 3)]
    assert each == [0, 1, 1]


def test_tests_are_counted_by_channel_from_0_on() -> None:
    metrics = Metrics(channels=["behaviour hour", "mass_deletion"])

    def value(name: str, channel: str) -> float | None:
        return metrics.registry.get_sample_value(f"detector_{name}_total", {"channel": channel})

    assert value("tests", "behaviour hour") == value("tests_improbable", "behaviour hour") == 0
    metrics.count_tests({("behaviour hour", False): 7, ("behaviour hour", True): 2, ("mass_deletion", False): 1})
    assert value("tests", "behaviour hour") == 9
    assert value("tests_improbable", "behaviour hour") == 2
    assert value("tests", "mass_deletion") == 1
    assert value("tests_improbable", "mass_deletion") == 0
