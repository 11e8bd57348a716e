"""What comes of a step of correlation."""

import msgspec

from detector.alerts import Alert
from detector.exposure_versions import ExposureVersion
from detector.feedback import Adjustment
from detector.findings import Finding
from detector.records import OperatorAction


class Correlated(msgspec.Struct):
    """What came of a step: findings that only correlation can see, new versions of alerts and of exposure windows.

    Of a verdict also what it changes in scoring, and the record of it.
    """

    findings: list[Finding] = []
    alerts: list[Alert] = []
    exposures: list[ExposureVersion] = []
    adjustments: list[Adjustment] = []
    actions: list[OperatorAction] = []
