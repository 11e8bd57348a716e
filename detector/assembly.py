"""From a configuration to the two stages: what live, replay and demo build alike."""

from detector.charter import Charters
from detector.config import Config
from detector.correlation import Correlator
from detector.detectors import build
from detector.pipeline import Pipeline, about
from detector.scoring import Scoring


def scoring(config: Config) -> Scoring:
    """The first stage, empty."""
    detectors = build(dict(config.detectors))
    return Scoring(detectors, config.scoring, Charters(config.charters.roles, config.charters.agents))


def correlator(config: Config) -> Correlator:
    """The second stage, empty."""
    return Correlator(about(), config.correlation)


def attention(config: Config) -> float:
    """Seconds after a finding in which an incident can still change by the mere passing of time."""
    return config.correlation.window + config.correlation.settle + config.correlation.exposure_limit


def pipeline(config: Config) -> Pipeline:
    """Both stages in one process."""
    return Pipeline(scoring(config), correlator(config), attention(config))
