"""What the Dockerfile and the compose files promise, read off the files; deploy/container-check.sh runs them."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml  # comes with uvicorn[standard]

from app.settings import Settings

ROOT = Path(__file__).parent.parent
SETTINGS = {f"FORECASTLE_{name.upper()}" for name in Settings.model_fields}


def text(name: str) -> str:
    return (ROOT / name).read_text()


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions with their arguments, continued lines joined, comments left out."""
    lines = "\n".join(line for line in text("Dockerfile").splitlines() if not line.lstrip().startswith("#"))
    joined = re.sub(r"\\\n\s*", "", lines)
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in joined.splitlines() if line)]


def final_stage() -> list[tuple[str, str]]:
    every = instructions()
    return every[max(i for i, (name, _) in enumerate(every) if name == "FROM") :]


def only(name: str) -> str:
    """The argument of the one instruction ``name`` of the final stage."""
    [argument] = [rest for each, rest in final_stage() if each == name]
    return argument


def compose(name: str = "docker-compose.yml") -> dict[str, Any]:
    return yaml.safe_load(text(name))


SERVICES: dict[str, dict[str, Any]] = compose()["services"]
OURS = [name for name, service in SERVICES.items() if "build" in service]


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
    stages = {rest.split()[-1] for name, rest in instructions() if name == "FROM" and " AS " in rest}
    bases = [rest.split()[0] for name, rest in instructions() if name == "FROM" and rest.split()[0] not in stages]
    images = [service["image"] for name, service in SERVICES.items() if name not in OURS]
    for image in [*bases, *images]:
        assert re.fullmatch(r"[a-z]+:\d[\w.-]*", image), image
        assert f"--standin {image}=" in text("deploy/container-check.sh")


def test_the_image_installs_nothing_in_its_last_stage() -> None:
    run = " ".join(rest for name, rest in final_stage() if name == "RUN")
    assert not re.search(r"\b(apt|apt-get|pip|uv|gcc|curl)\b", run)


def test_dependencies_are_installed_before_the_source_is_there() -> None:
    steps = [f"{name} {rest}" for name, rest in instructions()]
    install = next(i for i, step in enumerate(steps) if "--requirements pyproject.toml" in step)
    assert "--constraints constraints.txt" in steps[install]
    assert install < steps.index("COPY app app")


def test_no_package_registry_is_named() -> None:
    for name in ("Dockerfile", "docker-compose.yml", "docker-compose.gpu.yml", "deploy/container-check.sh"):
        assert not re.search(r"https?://(?!127\.0\.0\.1)|index.url|find.links", text(name)), name


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
    assert service["deploy"]["resources"]["limits"]["memory"]


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_has_no_rights_that_it_does_not_need(name: str) -> None:
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "network_mode", "pid", "devices"} & set(service)
    if name in OURS:
        assert service["read_only"] is True
        assert [mount.partition(":")[0] for mount in service["tmpfs"]] == ["/tmp"]  # noqa: S108
    else:
        assert service["user"] == "postgres"


def test_only_the_api_can_be_reached_and_only_from_this_machine() -> None:
    assert {name for name, service in SERVICES.items() if "ports" in service} == {"api"}
    assert all(port.startswith("127.0.0.1:") for port in SERVICES["api"]["ports"])


def test_one_image_serves_every_role() -> None:
    assert OURS == ["migrate", "api", "worker", "scheduler"]
    assert len({SERVICES[name]["image"] for name in OURS}) == 1


def test_there_is_no_default_password() -> None:
    expected = "${POSTGRES_PASSWORD:?set it in .env, see .env.example}"
    assert SERVICES["postgres"]["environment"]["POSTGRES_PASSWORD"] == expected
    for name in OURS:
        assert SERVICES[name]["environment"]["PGPASSWORD"] == expected
        assert re.search(r"//forecastle@", SERVICES[name]["environment"]["FORECASTLE_DATABASE_URL"])
    assert re.search(r"^POSTGRES_PASSWORD=$", text(".env.example"), re.MULTILINE)


def test_settings_have_the_names_that_the_program_reads() -> None:
    named = {name for service in SERVICES.values() for name in service.get("environment", {})}
    named |= {
        name
        for service in compose("docker-compose.gpu.yml")["services"].values()
        for name in service.get("environment", {})
    }
    named |= set(re.findall(r"FORECASTLE_[A-Z_]+(?==)", text("Dockerfile")))
    assert {name for name in named if name.startswith("FORECASTLE_")} <= SETTINGS


@pytest.mark.parametrize("name", ["api", "worker"])
def test_the_gpu_variant_reserves_a_gpu_and_brings_its_libraries(name: str) -> None:
    service = compose("docker-compose.gpu.yml")["services"][name]
    devices = service["deploy"]["resources"]["reservations"]["devices"]
    assert devices == [{"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}]
    assert service["environment"]["FORECASTLE_ENGINE"] == "keras"
    assert (
        service["build"]["args"]["VARIANT"] in tomllib.loads(text("pyproject.toml"))["project"]["optional-dependencies"]
    )


def test_the_gpu_variant_has_its_own_image_in_every_role() -> None:
    images = {name: each["image"] for name, each in compose("docker-compose.gpu.yml")["services"].items()}
    assert list(images) == OURS
    assert len(set(images.values())) == 1
    assert SERVICES["api"]["image"] not in images.values()


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


def test_the_manifests_name_the_release_of_ray_that_is_pinned() -> None:
    [cluster] = [each for each in KUBERAY if each["kind"] == "RayCluster"]
    assert f"ray=={cluster['spec']['rayVersion']}" in text("constraints.txt").splitlines()
    assert f"ray[default]=={cluster['spec']['rayVersion']}" in text("pyproject.toml")
    assert cluster["spec"]["authOptions"] == {"mode": "token"}


def test_on_kubernetes_only_the_worker_may_give_the_cluster_jobs() -> None:
    [policy] = [each["spec"] for each in KUBERAY if each["kind"] == "NetworkPolicy"]
    [cluster] = [each["spec"] for each in KUBERAY if each["kind"] == "RayCluster"]
    chosen = policy["podSelector"]["matchLabels"]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        assert group["template"]["metadata"]["labels"] == chosen
    inside, others = policy["ingress"]
    assert inside == {"from": [{"podSelector": {"matchLabels": chosen}}]}
    assert others["ports"] == [{"port": 8265}]
    [deployment] = [each["spec"]["template"] for each in KUBERAY if each["kind"] == "Deployment"]
    assert others["from"][0]["podSelector"]["matchLabels"].items() <= deployment["metadata"]["labels"].items()
    names = {each["name"] for each in deployment["spec"]["containers"][0]["env"]}
    assert {name for name in names if name.startswith("FORECASTLE_")} <= SETTINGS


def test_there_may_be_several_of_every_role_that_stays() -> None:
    replicas = {name: service["deploy"].get("replicas") for name, service in SERVICES.items() if name in OURS}
    assert replicas == {
        "migrate": None,
        "api": "${FORECASTLE_APIS:-1}",
        "worker": "${FORECASTLE_WORKERS:-1}",
        "scheduler": "${FORECASTLE_SCHEDULERS:-1}",
    }
