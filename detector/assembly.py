"""From a configuration to the two stages: what live, replay and demo build alike."""

from collections.abc import Sequence
from typing import Any

from detector import model_file
from detector.activity import NAMES
from detector.adjustments import Adjustments
from detector.charter import Charters
from detector.config import Config
from detector.config_digests import MODEL_SETTING
from detector.config_versions import short_hash
from detector.correlation import Correlator
from detector.decoding import Decoder, DecoderByTopic
from detector.destinations import Zones
from detector.detectors import REGISTRY, build
from detector.detectors.base import Detector
from detector.detectors.forest_challenger import ForestChallenger
from detector.exchange import Exchange
from detector.formats import registry
from detector.labels import Labels
from detector.overrides import changes
from detector.pipeline import Pipeline, about
from detector.scoring import Scoring
from detector.suppressions import Suppressions
from models.forest import Forest


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


def detectors(config: Config, forest: Forest | None = None) -> list[Detector[Any]]:
    """The enabled detectors; the challenger with the forest that is given or configured, if there is one.

    Raises:
        ModelError: The configured forest may not be used; see `challenger`.
    """
    built = build(dict(config.detectors))
    for detector in built:
        if isinstance(detector, ForestChallenger):
            detector.forest = forest or challenger(config)
    return built


def challenger(config: Config) -> Forest | None:
    """The forest that the challenger judges by, None if it is off.

    Raises:
        ModelError: It can't be read, or was not compared with the running detectors.
    """
    settings: ForestChallenger.Settings = getattr(config.detectors, ForestChallenger.name)
    if settings.model is None or not settings.enabled:
        return None
    return model_file.read_compared(settings.model, NAMES, max(challenged_at(config)), config.files.get(MODEL_SETTING))


def challenged_at(config: Config) -> set[float]:
    """The values of `p` by which the challenger notes: its own, and those that overrides give it, expired or not."""
    detector = ForestChallenger(getattr(config.detectors, ForestChallenger.name))
    concerned = (order for order in config.overrides if order.concerns_detector(detector.name))
    moved = (changes(order, detector).get("p") for order in concerned)
    return {detector.settings.p, *(p for p in moved if p is not None)}


def dormant(config: Config) -> list[Detector[Any]]:
    """The detectors that are switched off: they keep what they know, for when they are switched on again."""
    settings = {name: getattr(config.detectors, name) for name in REGISTRY}
    return [detector(settings[name]) for name, detector in REGISTRY.items() if not settings[name].enabled]


def scoring(
    config: Config,
    *behind: Detector[Any],
    before: Sequence[Detector[Any]] = (),
    adjustments: Adjustments | None = None,
    forest: Forest | None = None,
    exchange: Exchange | None = None,
) -> Scoring:
    """The first stage, empty; with detectors `before` and `behind` those of the configuration, if given.

    The challenger, if it is enabled, judges by `forest` instead of the one that it is configured with, if given.
    """
    charters = Charters(config.charters.roles, config.charters.agents)
    rules = (
        config.scoring,
        charters,
        config.budget,
        suppressions(config, adjustments),
        config.control,
        config.overrides,
    )
    running = [*before, *detectors(config, forest), *behind]
    return Scoring(running, *rules, config=short_hash(config), dormant=dormant(config), exchange=exchange)


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
