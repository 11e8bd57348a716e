"""From a configuration to the two stages: what live, replay and demo build alike."""

from collections.abc import Sequence
from typing import Any

from detector import model_file
from detector.activity import NAMES
from detector.adjustments import Adjustments
from detector.charter import Charters
from detector.config import Config
from detector.config_versions import short_hash
from detector.correlation import Correlator
from detector.decoding import Decoder, DecoderByTopic
from detector.destinations import Zones
from detector.detectors import REGISTRY, build
from detector.detectors.base import Detector
from detector.detectors.forest_challenger import ForestChallenger
from detector.formats import registry
from detector.labels import Labels
from detector.pipeline import Pipeline, about
from detector.scoring import Scoring
from detector.suppressions import Suppressions


def decoder(config: Config, format_name: str | None = None) -> Decoder:
    """What makes events of records, with what the configuration knows of them; of its own format if none is given.

    Raises:
        KeyError: No such format.
    """
    formats = registry(keep_content=config.content.keep)
    return Decoder(format_name or config.format, labels(config), formats)


def decoder_by_topic(config: Config) -> DecoderByTopic:
    """The decoder of each topic that is read."""
    return DecoderByTopic({source.topic: decoder(config, source.format) for source in config.read})


def labels(config: Config) -> Labels:
    """What is known beyond the word of the sources."""
    return Labels(config.labels, Zones(config.destinations))


def detectors(config: Config) -> list[Detector[Any]]:
    """The enabled detectors; the challenger with its forest, if it has one.

    Raises:
        ModelError: The forest can't be read or used.
    """
    built = build(dict(config.detectors))
    for detector in built:
        if isinstance(detector, ForestChallenger) and detector.settings.model is not None:
            detector.forest = model_file.read(detector.settings.model, NAMES)
    return built


def dormant(config: Config) -> list[Detector[Any]]:
    """The detectors that are switched off: they keep what they know, for when they are switched on again."""
    settings = {name: getattr(config.detectors, name) for name in REGISTRY}
    return [detector(settings[name]) for name, detector in REGISTRY.items() if not settings[name].enabled]


def scoring(
    config: Config,
    *behind: Detector[Any],
    before: Sequence[Detector[Any]] = (),
    adjustments: Adjustments | None = None,
) -> Scoring:
    """The first stage, empty; with detectors `before` and `behind` those of the configuration, if given."""
    charters = Charters(config.charters.roles, config.charters.agents)
    rules = (
        config.scoring,
        charters,
        config.budget,
        suppressions(config, adjustments),
        config.control,
        config.overrides,
    )
    running = [*before, *detectors(config), *behind]
    return Scoring(running, *rules, config=short_hash(config), dormant=dormant(config))


def suppressions(config: Config, adjustments: Adjustments | None = None) -> Suppressions:
    """What is suppressed and why, for both stages alike."""
    return Suppressions(config.mutes, Zones(config.destinations), adjustments)


def correlator(config: Config) -> Correlator:
    """The second stage, empty."""
    return Correlator(about(), config.correlation, suppressions(config), short_hash(config), config.feedback)


def attention(config: Config) -> float:
    """Seconds after a finding in which an incident can still change by the mere passing of time."""
    return config.correlation.window + config.correlation.settle + config.correlation.exposure_limit


def pipeline(config: Config) -> Pipeline:
    """Both stages in one process."""
    return Pipeline(scoring(config), correlator(config), attention(config))
