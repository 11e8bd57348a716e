"""deploy/kubernetes and deploy/systemd: valid, as the program is, and with no right that is not needed."""

import re
import shutil
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from deploy.kubernetes import rules
from detector import VERSION, config_file
from detector.checkpoints.manifest import FORMAT_VERSION
from detector.patience import Patience
from tests.support.deployed import ROOT
from tests.support.linters import lint

FOLDER: Final = ROOT / "deploy/kubernetes"
UNIT: Final = ROOT / "deploy/systemd/rogue-agent-detector.service"
OVERLAYS: Final = ("dev", "production")
OF_OPERATORS: Final = {"PrometheusRule", "ServiceMonitor", "ScaledObject", "TriggerAuthentication"}
STYLE: Final = (
    "{extends: default, rules: {line-length: {max: 120}, document-start: disable, braces: {max-spaces-inside: 1}, "
    "comments: {min-spaces-from-content: 1}}, ignore: [rules.yaml]}"
)


@cache
def built(overlay: str) -> str:
    """What an overlay makes, as kubectl tells the cluster."""
    remedy = "it is in the package kubectl of Kubernetes' own repository"
    status, said = lint("kubectl", "kustomize", FOLDER / "overlays" / overlay, remedy=remedy)
    assert status == 0, said
    return said


def objects(overlay: str) -> list[dict[str, Any]]:
    """The objects of an overlay."""
    return list(yaml.safe_load_all(built(overlay)))


def one(found: list[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    (match,) = (each for each in found if each["kind"] == kind and each["metadata"]["name"] == name)
    return match


def pods(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The specifications of all pods."""
    return [each["spec"]["template"]["spec"] for each in found if "template" in each.get("spec", {})]


def containers(pod: dict[str, Any]) -> list[dict[str, Any]]:
    return [*pod.get("initContainers", ()), *pod["containers"]]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_objects_are_those_of_kubernetes_to_the_field(overlay: str, tmp_path: Path) -> None:
    path = tmp_path / "objects.yaml"
    path.write_text(built(overlay), encoding="utf-8")
    status, said = lint("kubernetes-validate", "--strict", path)
    assert status == 0, said
    unknown = set(re.findall(r"Couldn't find schema for kind (\w+)", said))
    assert unknown == (OF_OPERATORS if overlay == "production" else set())


def test_a_field_that_kubernetes_does_not_know_is_found(tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    stateful = next(text for text in built("dev").split("\n---\n") if "kind: StatefulSet" in text)
    path.write_text(stateful.replace("podManagementPolicy:", "podManagmentPolicy:"), encoding="utf-8")
    assert lint("kubernetes-validate", "--strict", path)[0] != 0


def test_the_files_are_tidy() -> None:
    status, said = lint("yamllint", "--strict", "--config-data", STYLE, FOLDER)
    assert status == 0, said


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_pods_are_restricted(overlay: str) -> None:
    found = objects(overlay)
    namespace = one(found, "Namespace", "rogue-agents")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert len(pods(found)) == 3
    for pod in pods(found):
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["securityContext"]["runAsUser"] == 10001
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        for container in containers(pod):
            security = container["securityContext"]
            assert security["readOnlyRootFilesystem"]
            assert security["allowPrivilegeEscalation"] is False
            assert security["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["limits"]["memory"]
            assert not container["image"].endswith(":latest")


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_pods_refer_to_is_made_or_said_to_be_needed(overlay: str) -> None:
    found = objects(overlay)
    told = (FOLDER / "base/kustomization.yaml").read_text(encoding="utf-8")
    needed = set(re.findall(r"create secret generic ([\w-]+)", told))
    for pod in pods(found):
        assert one(found, "ServiceAccount", pod["serviceAccountName"])
        named = {volume["name"] for volume in pod["volumes"]} | {"state"}
        for container in containers(pod):
            assert {mount["name"] for mount in container["volumeMounts"]} <= named
        for volume in pod["volumes"]:
            if "configMap" in volume:
                assert "detector.yaml" in one(found, "ConfigMap", volume["configMap"]["name"])["data"]
            if "secret" in volume:
                assert volume["secret"]["secretName"] in needed


def test_the_configuration_is_valid_and_the_secrets_are_where_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DETECTOR_KAFKA__INSTANCE_ID", "detector-score-0")
    monkeypatch.setenv("DETECTOR_STATE__URL", "s3://corp-rogue-agents/state")
    settings = config_file.load(FOLDER / "base/detector.yaml")
    assert settings.kafka.instance_id == "detector-score-0"
    assert settings.state.url == "s3://corp-rogue-agents/state"
    told = (FOLDER / "base/kustomization.yaml").read_text(encoding="utf-8")
    keys = set(re.findall(r"--from-file=([\w.-]+)", told))
    used = re.findall(r"/run/secrets/detector/([\w.-]+)", (FOLDER / "base/detector.yaml").read_text(encoding="utf-8"))
    assert set(used) == keys
    (migrate,) = one(objects("dev"), "Job", "detector-prepare")["spec"]["template"]["spec"]["containers"]
    for variable in migrate["env"]:
        monkeypatch.setenv(variable["name"], variable["value"])
    admin = config_file.load(FOLDER / "base/detector.yaml").store
    assert admin.password is not None
    assert str(admin.password.file) == "/run/secrets/detector-admin/clickhouse-password"


def test_the_network_is_open_to_what_the_configuration_names() -> None:
    settings = config_file.load(FOLDER / "base/detector.yaml")
    policy = one(objects("dev"), "NetworkPolicy", "detector")["spec"]
    ports = {port["port"] for rule in policy["egress"] for port in rule["ports"]}
    assert settings.store.url is not None
    assert settings.alertmanager is not None
    named = [settings.kafka.bootstrap_servers[0], settings.store.url, settings.alertmanager.url]
    assert ports == {53} | {int(re.findall(r":(\d+)", each)[-1]) for each in named}
    spaces = {
        peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
        for rule in policy["egress"]
        for peer in rule["to"]
    }
    assert spaces == {"kube-system"} | {re.findall(r"\.(\w+)\.svc:", each)[0] for each in named}
    assert [port for rule in policy["ingress"] for port in rule["ports"]] == [
        {"protocol": "TCP", "port": settings.metrics.port}
    ]


def test_probes_ask_what_the_service_answers() -> None:
    for name in ("detector-score", "detector-correlate"):
        pod = one(objects("production"), "StatefulSet", name)["spec"]["template"]["spec"]
        assert pod["terminationGracePeriodSeconds"] > Patience().shutdown
        (container,) = pod["containers"]
        assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
        assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
        assert container["args"][-1] == name.removeprefix("detector-")
        (instance,) = (v for v in container["env"] if v["name"] == "DETECTOR_KAFKA__INSTANCE_ID")
        assert instance["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.name"


def test_who_may_get_a_partition_sees_its_state() -> None:
    for stateful in (each for each in objects("production") if each["kind"] == "StatefulSet"):
        (container,) = stateful["spec"]["template"]["spec"]["containers"]
        assert {"name": "DETECTOR_STATE__URL", "value": "s3://corp-rogue-agents/state"} in container["env"]
    for stateful in (each for each in objects("dev") if each["kind"] == "StatefulSet"):
        assert stateful["spec"]["replicas"] == 1, "a volume of its own is seen by one alone"
        assert [claim["metadata"]["name"] for claim in stateful["spec"]["volumeClaimTemplates"]] == ["state"]


def test_workers_are_as_many_as_partitions_at_most() -> None:
    found = objects("production")
    lag = one(found, "ScaledObject", "detector-score")["spec"]
    (topics,) = one(found, "Job", "detector-prepare")["spec"]["template"]["spec"]["initContainers"]
    assert lag["maxReplicaCount"] == int(topics["args"][topics["args"].index("--partitions") + 1])
    assert "replicas" not in one(found, "StatefulSet", "detector-score")["spec"], "else each rollout would undo it"
    settings = config_file.load(FOLDER / "base/detector.yaml").kafka
    (trigger,) = lag["triggers"]
    assert trigger["metadata"]["consumerGroup"] == settings.group_id
    assert trigger["metadata"]["topic"] == settings.topics.events
    assert trigger["metadata"]["bootstrapServers"] == settings.bootstrap_servers[0]


def test_the_rules_are_those_of_prometheus() -> None:
    assert rules.WRITTEN.read_text(encoding="utf-8") == rules.text(), "run: python -m deploy.kubernetes.rules"
    found = objects("production")
    groups = one(found, "PrometheusRule", "detector")["spec"]["groups"]
    assert {group["name"] for group in groups} >= {"detector_process", "rogue_agents"}
    (endpoint,) = one(found, "ServiceMonitor", "detector")["spec"]["endpoints"]
    assert {"targetLabel": "job", "replacement": "rogue-agent-detector"} in endpoint["relabelings"]
    services = [each for each in found if each["kind"] == "Service"]
    assert all(each["spec"]["publishNotReadyAddresses"] for each in services)


def test_the_image_is_of_this_version() -> None:
    tags = {container["image"] for pod in pods(objects("dev")) for container in containers(pod)}
    assert tags == {f"rogue-agent-detector:{VERSION}"}
    tags = {container["image"] for pod in pods(objects("production")) for container in containers(pod)}
    assert tags == {f"registry.corp.example/rogue-agent-detector:{VERSION}-s3"}


def test_the_unit_is_valid_and_tight(tmp_path: Path) -> None:
    remedy = "apt-get install --no-install-recommends systemd"
    text = UNIT.read_text(encoding="utf-8")
    here = tmp_path / UNIT.name
    here.write_text(text.replace("/opt/detector/bin/detector", str(shutil.which("true"))), encoding="utf-8")
    status, said = lint("systemd-analyze", "verify", here, remedy=remedy)
    assert (status, said) == (0, "")
    status, said = lint("systemd-analyze", "security", "--offline=yes", "--threshold=20", here, remedy=remedy)
    assert status == 0, said
    here.write_text(text.replace("ProtectSystem=strict", "ProtectSytem=strict"), encoding="utf-8")
    assert "Unknown key" in lint("systemd-analyze", "verify", here, remedy=remedy)[1]


def test_the_units_configuration_is_valid_and_in_its_folder() -> None:
    settings = config_file.load(ROOT / "deploy/systemd/detector.yaml")
    text = UNIT.read_text(encoding="utf-8")
    assert "StateDirectory=detector\n" in text
    assert settings.store.url == "chdb:///var/lib/detector/store"
    assert settings.state.url == "file:///var/lib/detector/state"
    secret = settings.kafka.security.password
    assert secret is not None
    assert secret.file is not None
    assert f"LoadCredential={secret.file.name}:" in text
    assert str(secret.file.parent) == f"/run/credentials/{UNIT.name}"
    (seconds,) = re.findall(r"^TimeoutStopSec=(\d+)$", text, re.MULTILINE)
    assert int(seconds) > Patience().shutdown


def test_what_is_said_of_upgrades_is_of_this_version() -> None:
    text = (ROOT / "deploy/UPGRADING.md").read_text(encoding="utf-8")
    assert f"| {VERSION} |" in text
    migrations = sorted(path.name for path in (ROOT / "detector/store/migrations").glob("*.sql"))
    row = next(line for line in text.splitlines() if line.startswith(f"| {VERSION} |"))
    assert row.split("|")[2:4] == [f" {FORMAT_VERSION} ", f" {migrations[-1][:4]} "]
