"""Configuration: what an operator is told when it is wrong, that all is described, that no secret shows."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

from detector import config_screen
from detector.config import Config
from detector.config_base import ConfigError, Secret
from detector.config_file import Loaded, load, parse, read
from detector.config_nodes import mark_of
from detector.config_reference import reference
from detector.config_versions import effective
from detector.detectors import REGISTRY

GOLDEN = Path(__file__).with_name("config_errors.txt")


def golden() -> dict[str, tuple[str, str]]:
    """Title -> (the configuration, what is said of it)."""
    cases = {}
    for block in GOLDEN.read_text(encoding="utf-8").split("=== ")[1:]:
        title, _, rest = block.partition("\n")
        text, _, said = rest.partition("---\n")
        cases[title] = text, said.strip()
    return cases


def read_case(text: str) -> Config:
    """Read a configuration as a case of the golden file gives it: one file, or those of a folder and variables."""
    if not text.startswith((">>> ", "$ ")):
        return parse(text, "detector.yaml")
    folder, environ, files = Path("conf.d"), {}, {}
    for line in text.splitlines():
        if line.startswith("$ "):
            name, _, value = line.removeprefix("$ ").partition("=")
            environ[name] = value
        elif line.startswith(">>> "):
            files[line.removeprefix(">>> ")] = lines = list[str]()
        else:
            lines.append(line)
    for name, lines in files.items():
        folder.mkdir(exist_ok=True)
        (folder / name).write_text("\n".join(lines))
    return read(folder if files else None, environ).config


@pytest.mark.parametrize("title", golden())
def test_the_operator_is_told_where_what_and_what_would_be_right(
    title: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text, said = golden()[title]
    with pytest.raises(ConfigError) as told:
        read_case(text)
    assert str(told.value) == said


def test_the_defaults_need_no_file() -> None:
    assert load(None) == parse("", "empty.yaml") == parse("# only a comment\n", "empty.yaml") == Config()


def test_a_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "detector.yaml"
    file.write_text(
        "kafka:\n  bootstrap_servers: [a:1, b:2]\ncharters:\n  roles:\n    mover: {needs_approval: [delete]}\n"
    )
    config = load(file)
    assert config.kafka.bootstrap_servers == ("a:1", "b:2")
    assert config.charters.roles["mover"].needs_approval == {"delete"}
    assert config.state == Config().state


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "detector.yaml"
    with pytest.raises(ConfigError) as told:
        load(missing)
    assert str(told.value) == f"{missing}: No such file or directory"


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    file = tmp_path / "detector.yaml"
    file.write_bytes(b"kafka: \xff")
    with pytest.raises(ConfigError, match=r"detector.yaml: not text in UTF-8 \(byte 7\)"):
        load(file)


def test_settings_never_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Config().state.every = 5.0  # type: ignore[misc]


def test_the_files_of_a_folder_are_put_together_in_the_order_of_their_names(tmp_path: Path) -> None:
    mute = "{{name: {0}, reason: r, owner: o, expires: 2027-01-01T00:00:00Z, roles: [x]}}"
    texts = {
        "20-b.yml": f"mutes: [{mute.format('b')}]\ncharters: {{roles: {{b: {{needs_approval: [delete]}}}}}}\n",
        "10-a.yaml": f"mutes: [{mute.format('a')}]\ncharters: {{roles: {{a: {{}}}}, agents: {{c: {{}}}}}}\n",
        "30-empty.yaml": "# nothing yet\n",
        ".40-hidden.yaml": "not: read",
        "notes.md": "not: read",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "50-folder.yaml").mkdir()
    config = load(tmp_path)
    assert [mute.name for mute in config.mutes] == ["a", "b"]
    assert set(config.charters.roles) == {"a", "b"}
    assert set(config.charters.agents) == {"c"}


def test_the_environment_sets_what_a_file_leaves_open_and_what_it_says(tmp_path: Path) -> None:
    file = tmp_path / "detector.yaml"
    file.write_text("kafka: {group_id: from-file, bootstrap_servers: [c:3]}\nstore: {url: 'http://h:1/d'}\n")
    loaded = read(
        file,
        {
            "DETECTOR_KAFKA__BOOTSTRAP_SERVERS": "a:1, b:2",
            "DETECTOR_KAFKA__INSTANCE_ID": "007",
            "DETECTOR_STORE__URL": "",
            "DETECTOR_STATE__EVERY": "60",
            "DETECTOR_CONTENT__KEEP": "yes",
            "DETECTOR_LABELS": "{principals: [{match: [bot-*], role: bot}]}",
            "DETECTOR_DESTINATIONS__APPROVED": "[a.example, b.example]",
            "DETECTOR_WEBHOOK__URL": "https://hook.example/",
            "DETECTOR_WEBHOOK__SECRET__ENV": "HOOK_KEY",
            "DETECTOR_SERVICE_HOST": "10.0.0.1",  # Kubernetes tells of a service called "detector"
            "DETECTOR_PORT_9464_TCP__": "x",
            "PATH": "/bin",
        },
    )
    config = loaded.config
    assert config.kafka.bootstrap_servers == ("a:1", "b:2")
    assert (config.kafka.group_id, config.kafka.instance_id) == ("from-file", "007")
    assert (config.store.url, config.state.every, config.content.keep) == (None, 60.0, True)
    assert config.labels.principals[0].role == "bot"
    assert config.webhook is not None
    assert config.webhook.secret.env == "HOOK_KEY"
    assert [
        loaded.origin(path)
        for path in (
            ("kafka", "group_id"),
            ("kafka", "bootstrap_servers"),
            ("state", "every"),
            ("labels", "principals", 0, "role"),
            ("state", "url"),
        )
    ] == [f"{file}:1", "DETECTOR_KAFKA__BOOTSTRAP_SERVERS", "DETECTOR_STATE__EVERY", "DETECTOR_LABELS", None]


def test_a_part_of_a_section_is_set_after_the_whole_of_it() -> None:
    environ = {"DETECTOR_STATE__EVERY": "5", "DETECTOR_STATE": "{url: /x, every: 9}"}
    state = read(None, environ).config.state
    assert (state.url, state.every) == ("/x", 5.0)


def test_the_environment_counts_without_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DETECTOR_STATE__EVERY", "7")
    assert load(None).state.every == 7.0
    assert parse("", "empty.yaml").state.every == Config().state.every, "a text stands for itself"


def test_a_value_that_a_merge_key_brought_in_stands_where_it_was_written(tmp_path: Path) -> None:
    file = tmp_path / "detector.yaml"
    file.write_text(
        "charters:\n  roles:\n    a: &all\n      needs_approval: [delete]\n      resources: [x]\n"
        "    b:\n      <<: *all\n      resources: [y]\n"
    )
    loaded = read(file, {})
    assert loaded.config.charters.roles["b"].needs_approval == {"delete"}
    places = [loaded.origin(("charters", "roles", "b", name)) for name in ("needs_approval", "resources")]
    assert places == [f"{file}:4", f"{file}:8"]


def sections(model: type[BaseModel], name: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    """Every section below a model, by its dotted name."""
    yield name, model
    for key, field in model.model_fields.items():
        options = [field.annotation, *getattr(field.annotation, "__args__", ())]
        for option in options:
            if isinstance(option, type) and issubclass(option, BaseModel):
                yield from sections(option, f"{name}.{key}".strip("."))


def test_every_setting_is_described() -> None:
    silent = [
        f"{name}.{key}"
        for name, model in sections(Config)
        for key, field in model.model_fields.items()
        if not (field.description or "").endswith(".")
    ]
    assert not silent
    assert {"kafka.security.password", "detectors.transfer_rate", "charters.roles"} <= {n for n, _ in sections(Config)}


def test_the_reference_tells_each_settings_name_default_and_use() -> None:
    head, rule, *rows = reference().splitlines()
    assert rule.count("|") == head.count("|") == 4
    table = {name: (default, text) for name, default, text in (row.strip("| ").split(" | ", 2) for row in rows)}
    assert all(default and text.strip() for default, text in table.values())
    assert table["`state.every`"] == ("`30.0`", "Seconds between checkpoints.")
    assert table["`kafka.security.protocol`"][1].endswith("`SASL_PLAINTEXT`, `SASL_SSL`.")
    assert table["`webhook.secret`"][1].endswith("As `env: NAME` or `file: PATH`.")
    assert table["`charters.agents.NAME.needs_approval`"][0] == "empty"
    assert {f"`detectors.{name}.enabled`" for name in REGISTRY} <= set(table)


def test_a_secret_is_read_from_the_environment_or_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", "from the environment")
    (tmp_path / "key").write_text("  from a file\n")
    assert Secret(env="KEY").reveal() == "from the environment"
    assert Secret(file=tmp_path / "key").reveal() == "from a file"


def test_a_secret_that_is_not_there_is_named_by_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KEY", raising=False)
    with pytest.raises(ConfigError, match="the environment variable KEY is not set: a secret is kept there"):
        Secret(env="KEY").reveal()
    monkeypatch.setenv("KEY", "")
    with pytest.raises(ConfigError, match="KEY is not set"):
        Secret(env="KEY").reveal()
    with pytest.raises(ConfigError, match="key can't be read: No such file or directory"):
        Secret(file=tmp_path / "key").reveal()


@pytest.mark.parametrize(("content", "why"), [(b" \n", "is empty"), (b"\xff\xfe", "not text in UTF-8")])
def test_a_secret_file_without_a_secret_is_an_error(tmp_path: Path, content: bytes, why: str) -> None:
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(ConfigError, match=why):
        Secret(file=tmp_path / "key").reveal()


def test_secrets_show_by_their_place_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROKER_PASSWORD", "hunter2-env")
    (tmp_path / "hook").write_text("hunter2-file")
    config = parse(
        f"""
        kafka:
          security: {{protocol: SASL_SSL, mechanism: PLAIN, username: u, password: {{env: BROKER_PASSWORD}}}}
        webhook: {{url: "https://hook.example/", secret: {{file: {tmp_path / "hook"}}}}}
        """,
        "detector.yaml",
    )
    assert config.kafka.security.password is not None
    assert config.kafka.security.password.reveal() == "hunter2-env"
    shown = json.dumps(effective(config)) + repr(config)
    assert "hunter2" not in shown
    assert "BROKER_PASSWORD" in shown
    assert str(tmp_path / "hook") in shown


@pytest.mark.parametrize(
    "text",
    [
        "webhook: {url: 'https://hook.example/', secret: hunter2}",
        "webhook: {url: 'https://hook.example/', secret: {value: hunter2}}",
        "kafka: {security: {password: hunter2}}",
        "kafka: {security: {password: [hunter2]}}",
        "kafka: {sasl_plain_password: hunter2}",
        "store: {url: 'http://user:hunter2@host:8123/detector'}",
        "store: {password: hunter2}",
    ],
)
def test_a_secret_that_stands_in_the_file_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(ConfigError) as told:
        parse(text, "detector.yaml")
    assert "hunter2" not in str(told.value)


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("DETECTOR_METRICS__TOKEN", "null"),
        ("DETECTOR_METRICS__CERT_FILE", "null"),
        ("DETECTOR_STORE__PASSWORD", "null"),
        ("DETECTOR_FEEDBACK__OPERATORS", "[]"),
        ("DETECTOR_CONTROL__ISSUERS", "[]"),
    ],
)
def test_a_variable_that_was_not_filled_in_opens_no_door(name: str, remedy: str) -> None:
    for blank in ("", "  ", "\n"):
        with pytest.raises(
            ConfigError, match=f"{name} is set to nothing, which would leave .* or write `{re.escape(remedy)}`"
        ):
            read(None, {name: blank})
    assert read(None, {name: remedy}).config == Config()


def test_a_number_is_what_it_looks_like() -> None:
    """In YAML 1.1 these were eight, and ninety seconds."""
    assert read(None, {"DETECTOR_METRICS__PORT": "010"}).config.metrics.port == 10
    assert parse("metrics: {port: 0x10}", "x").metrics.port == 16
    assert parse("state: {every: 1_000.5}", "x").state.every == 1000.5
    with pytest.raises(ConfigError, match=r"DETECTOR_STATE__EVERY: `state.every` must be a number, found '1:30'"):
        read(None, {"DETECTOR_STATE__EVERY": "1:30"})
    names = ["08", "010", "1:30", "0b2", "0o7", "1e5", "1.5", "7", "+1", ".5"]
    told = parse(f"labels: {{principals: [{{match: {json.dumps(names)}, role: r}}]}}", "x")
    shown = config_screen.as_yaml(Loaded(told, yaml.MappingNode("tag:yaml.org,2002:map", [], mark_of("x"))))
    assert parse(shown, "shown") == told, "what was text is text again"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("state: {every: 0b_}", "x:1: '0b_' can't be read as a whole number"),
        ("\nstate: {every: !!int abc}", "x:2: 'abc' can't be read as a whole number"),
        ("state: {every: !!float abc}", "x:1: 'abc' can't be read as a number"),
        ("state: {every: !!bool abc}", "x:1: 'abc' can't be read as true or false"),
        ("state: {every: !!timestamp x}", "x:1: there is no such time as x"),
        ("state: {every: 2026-13-01}", "x:1: there is no such time as 2026-13-01"),
        ("state: {every: " + "[" * 3000 + "]" * 3000 + "}", "x: too many brackets or sections within one another"),
    ],
)
def test_what_yaml_stumbles_over_is_told_by_its_line(text: str, why: str) -> None:
    with pytest.raises(ConfigError) as told:
        parse(text, "x")
    assert str(told.value).startswith(why)
    if "\n" not in text:
        with pytest.raises(ConfigError, match="DETECTOR_STATE__EVERY: "):
            read(None, {"DETECTOR_STATE__EVERY": text.removeprefix("state: {every: ").removesuffix("}")})


@pytest.mark.parametrize(
    "url",
    [
        "https://t0ken@hooks.example/alerts",
        "https://user:t0ken@hooks.example/alerts",
        "https://hooks.example/alerts?token=t0ken",
        "https://hooks.example/alerts?a=1&api_key=t0ken",
        "https://hooks.example/?X-Amz-Signature=t0ken",
    ],
)
def test_an_address_holds_no_credentials(url: str) -> None:
    for text in (f"webhook: {{url: '{url}', secret: {{env: K}}}}", f"alertmanager: {{url: '{url}'}}"):
        with pytest.raises(ConfigError, match=r"the `url` holds (a|credentials)") as told:
            parse(text, "x")
        assert "t0ken" not in str(told.value)
    assert parse("alertmanager: {url: 'https://h.example/a?team=soc&monkey=1'}", "x").alertmanager is not None
