"""The manifests for a team are not run here; they are YAML, their references close, and each command and option in them exists."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

DEPLOY = Path(__file__).resolve().parents[2] / "docs" / "deploy"
PROGRAMS = ("prefect", "mlflow", "dask", "fortnight")


def compose():
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))


def objects():
    return list(yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text(encoding="utf-8")))


def pods():
    for item in objects():
        if item["kind"] != "Service":
            spec = item["spec"]["jobTemplate"]["spec"] if item["kind"] == "CronJob" else item["spec"]
            yield item["metadata"]["name"], spec["template"]["spec"]


def commands():
    found = [service["command"] for service in compose()["services"].values() if "command" in service]
    found += [container["command"] for _, pod in pods() for container in pod["containers"]]
    return sorted({tuple(command) for command in found})


def pieces(command):
    """(words that name the command, its options)."""
    words = command[: next((i for i, word in enumerate(command) if word.startswith("--") or "://" in word), len(command))]
    return words, [word for word in command if word.startswith("--")]


def test_every_program_is_there_on_both():
    assert {command[0] for command in commands()} == set(PROGRAMS)
    assert len(commands()) >= 6


@pytest.mark.parametrize("command", commands(), ids=lambda c: " ".join(pieces(c)[0]))
def test_every_command_and_option_exists(command):
    words, options = pieces(command)
    program = Path(sys.executable).parent / words[0]
    done = subprocess.run([str(program), *words[1:], "--help"], capture_output=True, text=True, timeout=120, env=None)
    assert done.returncode == 0, done.stderr
    assert [option for option in options if not re.search(rf"{re.escape(option)}\b", done.stdout)] == []


def test_both_say_that_they_were_not_run():
    assert all(path.read_text(encoding="utf-8").startswith("# Not run here") for path in DEPLOY.glob("*.yaml"))


def test_what_compose_refers_to_is_there():
    found = compose()
    names = set(found["services"])
    for service in found["services"].values():
        assert set(service.get("depends_on", ())) <= names
        for host in re.findall(r"//(?:[^@/]*@)?([a-z]+)[:/]", str(service)):
            assert host in names | {"acme-mlflow"}
    for volume in (v for service in found["services"].values() for v in service.get("volumes", ())):
        source = volume.split(":")[0]
        assert source == "./trial" or source in found["volumes"] or (DEPLOY / source).exists()


def test_what_kubernetes_refers_to_is_there():
    apps = {name for name, _ in pods()}
    services = {item["metadata"]["name"]: item["spec"]["selector"]["app"] for item in objects() if item["kind"] == "Service"}
    assert set(services.values()) <= apps
    for _, pod in pods():
        for container in pod["containers"]:
            assert {mount["name"] for mount in container.get("volumeMounts", ())} <= {v["name"] for v in pod.get("volumes", ())}
            hosts = re.findall(r"(?:http|tcp)://([a-z]+):", str(container))
            assert set(hosts) <= set(services)


def test_no_secret_stands_in_them():
    """Every password and key comes from the environment, or from a Secret."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in DEPLOY.glob("*.yaml"))
    assert re.findall(r"(?i)(?:password|secret_access_key|access_key_id|api_key): +(?!\$\{)\S+", text) == []
    assert re.findall(r"postgresql[^\s]*://[^\s$.]+:(?!\$\{)[^\s]+@", text) == []
