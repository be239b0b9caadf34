"""What the Dockerfile and the compose files promise, read off the files; deploy/container-check.sh runs them."""

import json
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml  # comes with uvicorn[standard]

from app.setting_names import unknown_variables
from app.settings import Settings

ROOT = Path(__file__).parent.parent
SETTINGS = {f"FORECASTLE_{name.upper()}" for name in Settings.model_fields}


def text(name: str) -> str:
    return (ROOT / name).read_text()


def instructions(name: str = "Dockerfile") -> list[tuple[str, str]]:
    """The instructions of a Dockerfile with their arguments, continued lines joined, comments left out."""
    lines = "\n".join(line for line in text(name).splitlines() if not line.lstrip().startswith("#"))
    joined = re.sub(r"\\\n\s*", "", lines)
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in joined.splitlines() if line)]


def final_stage() -> list[tuple[str, str]]:
    every = instructions()
    return every[max(i for i, (name, _) in enumerate(every) if name == "FROM") :]


def base() -> str:
    """The base image, whose name an argument may replace by one with a digest."""
    [name] = [rest for instruction, rest in instructions() if instruction == "ARG" and rest.startswith("BASE=")]
    return name.removeprefix("BASE=")


def only(name: str) -> str:
    """The argument of the one instruction ``name`` of the final stage."""
    [argument] = [rest for each, rest in final_stage() if each == name]
    return argument


def compose(name: str = "docker-compose.yml") -> dict[str, Any]:
    return yaml.safe_load(text(name))


SERVICES: dict[str, dict[str, Any]] = compose()["services"]
OURS = [name for name, service in SERVICES.items() if service["image"].startswith("forecastle:")]
PASSWORD = "postgres-password"  # the name of the secret


def test_the_image_runs_as_a_numeric_user_who_is_not_root() -> None:
    uid, gid = only("USER").split(":")
    assert int(uid) > 0
    assert int(gid) > 0


def test_the_image_gets_signals_itself_and_says_whether_it_is_alive() -> None:
    assert json.loads(only("ENTRYPOINT")) == ["forecastle"]
    assert json.loads(only("CMD"))[0] == "serve"
    assert only("STOPSIGNAL") == "SIGTERM"
    _, _, command = only("HEALTHCHECK").partition("CMD ")
    assert json.loads(command)[0] == "python"
    assert "/livez" in command


def test_base_images_have_a_version() -> None:
    every = [(name, rest.replace("${BASE}", base())) for name, rest in instructions()]
    every += instructions("deploy/tls/Dockerfile")
    stages = {rest.split()[-1] for name, rest in every if name == "FROM" and " AS " in rest}
    bases = [rest.split()[0] for name, rest in every if name == "FROM" and rest.split()[0] not in stages]
    images = [service["image"] for service in SERVICES.values() if "build" not in service]
    made = {service["image"] for service in compose("deploy/check/docker-compose.yml")["services"].values()}
    for image in [*bases, *images]:
        assert re.fullmatch(r"[a-z]+:\d[\w.-]*", image), image
        assert f"--standin {image}=" in text("deploy/container-check.sh") or image in made


def test_the_image_installs_nothing_in_its_last_stage() -> None:
    run = " ".join(rest for name, rest in final_stage() if name == "RUN")
    assert not re.search(r"\b(apt|apt-get|pip|uv|gcc|curl)\b", run)


def test_dependencies_are_installed_by_their_hashes_before_the_source_is_there() -> None:
    steps = [f"{name} {rest}" for name, rest in instructions()]
    installs = [i for i, step in enumerate(steps) if re.search(r"pip install(?! --no-deps)", step)]
    assert len(installs) == 2
    assert all("--require-hashes" in steps[i] for i in installs)
    assert max(installs) < steps.index("COPY app app")


def test_no_package_registry_is_named() -> None:
    files = [file for file in (ROOT / "deploy").rglob("*") if file.is_file() and file.suffix != ".pyc"]
    for name in ("Dockerfile", "docker-compose.yml", *files):
        assert not re.search(r"pypi|index.url|find.links", text(name)), name


def test_the_label_has_the_version_of_the_package() -> None:
    version = tomllib.loads(text("pyproject.toml"))["project"]["version"]
    assert ("ARG", f"VERSION={version}") in final_stage()


def test_only_what_the_image_is_made_of_is_sent_to_the_builder() -> None:
    every, *others = [line for line in text(".dockerignore").splitlines() if line and not line.startswith("#")]
    copied = {
        source
        for name, rest in instructions()
        if name == "COPY" and "--from" not in rest
        for source in rest.split()[:-1]
    }
    assert every == "*"
    assert {line[1:] for line in others if line.startswith("!")} == copied


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_watched_restarted_and_bounded(name: str) -> None:
    service = SERVICES[name]
    waited_for = {
        other
        for each in SERVICES.values()
        for other, how in each.get("depends_on", {}).items()
        if how["condition"] == "service_completed_successfully"
    }
    if name in waited_for:
        assert service["restart"] == "no"
    else:
        assert service["restart"] == "unless-stopped"
        assert service["healthcheck"]["test"][0] == "CMD"
        assert "stop_grace_period" in service
    limits = service["deploy"]["resources"]["limits"]
    assert set(limits) == {"memory", "cpus", "pids"} - ({"cpus"} if "gpu" in name else set())


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_has_no_rights_that_it_does_not_need(name: str) -> None:
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "network_mode", "pid", "devices"} & set(service)
    assert service["read_only"] is True
    assert "/tmp" in [mount.partition(":")[0] for mount in service["tmpfs"]]  # noqa: S108
    if "build" not in service:
        assert service["user"] == "postgres"


def test_the_proxy_runs_as_a_numeric_user_without_the_capability_that_its_program_has() -> None:
    steps = dict(instructions("deploy/tls/Dockerfile"))
    assert steps["USER"] == "10001:10001"
    assert "setcap -r /usr/bin/caddy" in steps["RUN"]
    assert int(steps["EXPOSE"].split()[0]) >= 1024


def test_only_the_proxy_can_be_reached_from_other_machines() -> None:
    assert {name for name, service in SERVICES.items() if "ports" in service} == {"api", "api-gpu", "proxy"}
    for name in ("api", "api-gpu"):
        assert all(port.startswith("127.0.0.1:") for port in SERVICES[name]["ports"])


def test_the_database_is_in_a_network_without_a_way_out_that_the_proxy_is_not_in() -> None:
    networks = {name: service["networks"] for name, service in SERVICES.items()}
    assert compose()["networks"]["database"] == {"internal": True}
    assert networks["postgres"] == ["database"]
    assert networks["proxy"] == ["edge"]
    assert all("database" in networks[name] for name in OURS)
    assert {name for name, each in networks.items() if "outbound" in each} == {"scheduler"}


def test_one_image_serves_every_role() -> None:
    assert OURS == ["migrate", "api", "worker", "scheduler", "api-gpu", "worker-gpu"]
    assert len({SERVICES[name]["image"] for name in OURS if "gpu" not in name}) == 1


def test_the_password_is_in_a_file_and_in_no_environment() -> None:
    assert compose()["secrets"] == {PASSWORD: {"file": f"${{FORECASTLE_SECRETS:-./secrets}}/{PASSWORD}"}}
    for name in ["postgres", *OURS]:
        service = SERVICES[name]
        files = {variable: value for variable, value in service["environment"].items() if "PASSWORD" in variable}
        assert list(files.values()) == [f"/run/secrets/{PASSWORD}"]
        assert all(variable.endswith("_FILE") for variable in files)
        assert service["secrets"] == [PASSWORD]
    assert not re.search("PASSWORD|TOKEN", text(".env.example"))


def test_secrets_are_created_once_and_only_their_owner_may_look_for_them(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    command = ["sh", ROOT / "deploy" / "create-secrets.sh", folder]
    first = subprocess.run(command, check=True, capture_output=True, text=True)
    content = {file.name: file.read_text() for file in folder.iterdir()}
    again = subprocess.run(command, check=True, capture_output=True, text=True)
    assert set(content) == set(compose()["secrets"]) | {"grafana-password"}
    assert {file.name: file.read_text() for file in folder.iterdir()} == content
    assert all(len(secret.strip()) == 48 and secret.strip() not in first.stderr for secret in content.values())
    assert (len(first.stderr.splitlines()), again.stderr) == (len(content), "")
    assert folder.stat().st_mode & 0o777 == 0o700
    assert all(file.stat().st_mode & 0o777 == 0o644 for file in folder.iterdir())


def test_the_proxy_bounds_time_and_size_of_a_head_and_keeps_private_routes_private() -> None:
    given = dict(line.split(maxsplit=1) for line in text("deploy/tls/Caddyfile").splitlines()[:40] if line.count(" "))
    assert (given["read_header"], given["read_body"], given["max_header_size"]) == ("10s", "2m", "16KB")
    assert given["respond"] == "/internal/* 404"
    assert set(re.findall(r"\{\$(\w+):", text("deploy/tls/Caddyfile"))) == set(SERVICES["proxy"]["environment"])


def test_settings_have_the_names_that_the_program_reads() -> None:
    named = {name for service in SERVICES.values() for name in service.get("environment", {})}
    named |= set(re.findall(r"FORECASTLE_[A-Z_]+(?==)", text("Dockerfile")))
    read_by_compose = set(re.findall(r"\$\{(FORECASTLE_\w+)", text("docker-compose.yml")))
    assert list(unknown_variables(named | read_by_compose)) == []
    assert read_by_compose == set(re.findall(r"^# (FORECASTLE_\w+)=", text(".env.example"), re.MULTILINE))


@pytest.mark.parametrize("name", ["api-gpu", "worker-gpu"])
def test_the_gpu_variant_reserves_a_gpu_and_brings_its_libraries(name: str) -> None:
    service = SERVICES[name]
    assert service["profiles"] == ["gpu"]
    devices = service["deploy"]["resources"]["reservations"]["devices"]
    assert devices == [{"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}]
    assert service["environment"]["FORECASTLE_ENGINE"] == "keras"
    assert (
        service["build"]["args"]["VARIANT"] in tomllib.loads(text("pyproject.toml"))["project"]["optional-dependencies"]
    )


def test_jobs_for_a_gpu_are_claimed_by_the_worker_that_has_one() -> None:
    resources = {
        name: SERVICES[name]["environment"]["FORECASTLE_WORKER_RESOURCES"] for name in ("worker", "worker-gpu")
    }
    assert resources == {"worker": "cpu", "worker-gpu": "gpu"}
    assert SERVICES["worker-gpu"]["image"] == SERVICES["api-gpu"]["image"] != SERVICES["api"]["image"]


RAY = compose("deploy/ray/docker-compose.yml")
KUBERAY = list(yaml.safe_load_all(text("deploy/ray/kuberay.yaml")))


@pytest.mark.parametrize("name", ["head", "node"])
def test_a_machine_of_the_cluster_reaches_the_api_and_neither_the_database_nor_the_world(name: str) -> None:
    service = RAY["services"][name]
    assert service["networks"] == ["cluster"]
    assert RAY["networks"]["cluster"] == {"internal": True}
    assert not {"ports", "privileged", "cap_add", "network_mode", "volumes"} & set(service)
    assert (service["cap_drop"], service["read_only"]) == (["ALL"], True)
    assert not [variable for variable in service["environment"] if "PG" in variable or "DATABASE" in variable]
    assert service["environment"]["RAY_AUTH_MODE"] == "token"
    assert service["build"]["args"]["CLUSTER"] == "ray"
    assert service["deploy"]["resources"]["limits"]["memory"]


def test_the_cluster_needs_a_token_and_has_no_default_for_it() -> None:
    worker = RAY["services"]["worker"]["environment"]
    tokens = {RAY["services"][name]["environment"]["RAY_AUTH_TOKEN"] for name in ("head", "node", "worker")}
    assert tokens == {"${RAY_AUTH_TOKEN:?set it in .env, see deploy/ray/README.md}"}
    assert {name for name in worker if name.startswith("FORECASTLE_")} <= SETTINGS
    Settings.model_validate({name.removeprefix("FORECASTLE_").lower(): value for name, value in worker.items()})
    assert not {"ports", "build", "image"} & set(RAY["services"]["api"])
    assert RAY["services"]["api"]["networks"] == ["cluster"]


def test_the_manifests_name_the_release_of_ray_that_is_pinned() -> None:
    [cluster] = [each for each in KUBERAY if each["kind"] == "RayCluster"]
    assert f"ray=={cluster['spec']['rayVersion']}" in text("constraints.txt").splitlines()
    assert f"ray[default]=={cluster['spec']['rayVersion']}" in text("pyproject.toml")
    assert cluster["spec"]["authOptions"] == {"mode": "token"}


def test_on_kubernetes_only_the_worker_may_give_the_cluster_jobs() -> None:
    policy, to_api, to_cluster = [each["spec"] for each in KUBERAY if each["kind"] == "NetworkPolicy"]
    [cluster] = [each["spec"] for each in KUBERAY if each["kind"] == "RayCluster"]
    chosen = policy["podSelector"]["matchLabels"]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        assert group["template"]["metadata"]["labels"] == chosen
    inside, others = policy["ingress"]
    assert inside == {"from": [{"podSelector": {"matchLabels": chosen}}]}
    assert others["ports"] == [{"port": 8265}]
    [deployment] = [each["spec"]["template"] for each in KUBERAY if each["kind"] == "Deployment"]
    assert others["from"][0]["podSelector"]["matchLabels"].items() <= deployment["metadata"]["labels"].items()
    assert to_cluster["podSelector"] == {"matchLabels": {"forecastle": "worker"}}
    assert to_api["podSelector"] == policy["egress"][1]["to"][0]["podSelector"]
    names = {each["name"] for each in deployment["spec"]["containers"][0]["env"]}
    assert list(unknown_variables(name for name in names if name.startswith("FORECASTLE_"))) == []


def test_there_may_be_several_of_every_role_that_stays() -> None:
    replicas = {name: SERVICES[name]["deploy"].get("replicas") for name in ("migrate", "api", "worker", "scheduler")}
    assert replicas == {
        "migrate": None,
        "api": "${FORECASTLE_APIS:-1}",
        "worker": "${FORECASTLE_WORKERS:-1}",
        "scheduler": "${FORECASTLE_SCHEDULERS:-1}",
    }
