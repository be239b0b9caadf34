"""The manifests of deploy/kubernetes, built by kubectl and validated against the published schemas of Kubernetes."""

import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from app.setting_names import unknown_variables

OVERLAYS = Path(__file__).parent.parent / "deploy" / "kubernetes" / "overlays"
NAMES = sorted(folder.name for folder in OVERLAYS.iterdir())
KUBECTL = shutil.which("kubectl", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
OLDEST, NEWEST = "1.31", "1.37"  # releases of Kubernetes
Manifest = dict[str, Any]


@functools.cache
def objects(overlay: str) -> list[Manifest]:
    """What ``kubectl apply --kustomize`` would create."""
    assert KUBECTL is not None, "there is no kubectl; run: make packages-dev"
    command = [KUBECTL, "kustomize", OVERLAYS / overlay]
    env = os.environ | {"HOME": "/nonexistent"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env, timeout=60)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def of_kind(overlay: str, *kinds: str) -> dict[str, Manifest]:
    return {each["metadata"]["name"]: each for each in objects(overlay) if each["kind"] in kinds}


def pods(overlay: str) -> dict[str, Manifest]:
    """The templates of pods by the component that they are labelled with."""
    templates = [each["spec"]["template"] for each in of_kind(overlay, "Deployment", "StatefulSet", "Job").values()]
    return {each["metadata"]["labels"]["app.kubernetes.io/component"]: each for each in templates}


def container(pod: Manifest) -> Manifest:
    [one] = pod["spec"]["containers"]
    return one


@pytest.mark.parametrize("release", [OLDEST, NEWEST])
@pytest.mark.parametrize("overlay", ["gpu", "postgres-external"])  # postgres-internal is a part of gpu
def test_every_manifest_is_valid(overlay: str, release: str) -> None:
    for each in objects(overlay):
        kubernetes_validate.validate(each, release, strict=True)


def test_a_misspelt_field_is_not_valid() -> None:
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": {"port": []}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(service, NEWEST, strict=True)


def test_the_overlays_differ_in_the_database_and_the_gpu() -> None:
    common = {"api", "worker", "scheduler", "migrate"}
    assert {name: set(pods(name)) - common for name in NAMES} == {
        "gpu": {"postgres", "worker-gpu"},
        "postgres-external": set(),
        "postgres-internal": {"postgres"},
    }


@pytest.mark.parametrize("overlay", NAMES)
def test_a_pod_has_no_rights_as_the_namespace_demands(overlay: str) -> None:
    [namespace] = of_kind(overlay, "Namespace").values()
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    for pod in pods(overlay).values():
        assert pod["spec"]["automountServiceAccountToken"] is False
        assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
        assert pod["spec"]["securityContext"]["runAsUser"] > 0
        assert pod["spec"]["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container(pod)["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        }
        assert set(container(pod)["resources"]["limits"]) >= {"cpu", "memory"}
        assert set(container(pod)["resources"]["requests"]) >= {"cpu", "memory"}


@pytest.mark.parametrize("overlay", NAMES)
def test_the_password_comes_from_a_file_of_a_secret_that_is_not_in_the_manifests(overlay: str) -> None:
    assert not of_kind(overlay, "Secret")
    for pod in pods(overlay).values():
        [secret] = [volume["secret"] for volume in pod["spec"]["volumes"] if "secret" in volume]
        assert (secret["secretName"], secret["defaultMode"]) == ("forecastle-database", 0o440)
        assert not [one for one in container(pod).get("env", []) if "valueFrom" in one]


@pytest.mark.parametrize("overlay", NAMES)
def test_settings_are_those_that_the_program_reads(overlay: str) -> None:
    [common] = of_kind(overlay, "ConfigMap").values()
    own = {one["name"] for pod in pods(overlay).values() for one in container(pod).get("env", [])}
    named = {name for name in own | set(common["data"]) if name.startswith("FORECASTLE_")}
    assert list(unknown_variables(named)) == []
    for component, pod in pods(overlay).items():
        given = [one["configMapRef"]["name"] for one in container(pod).get("envFrom", [])]
        assert given == ([] if component == "postgres" else [common["metadata"]["name"]])


def test_each_overlay_has_the_address_of_its_database() -> None:
    addresses = {
        name: data["data"]["FORECASTLE_DATABASE_URL"] for name in NAMES for data in of_kind(name, "ConfigMap").values()
    }
    assert (
        addresses["gpu"] == addresses["postgres-internal"] == "postgresql+psycopg://forecastle@postgres:5432/forecastle"
    )
    assert "sslmode=verify-full" in addresses["postgres-external"]


def test_the_api_is_probed_spread_scaled_and_kept_available() -> None:
    api = container(pods("gpu")["api"])
    paths = {probe: api[probe]["httpGet"]["path"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert paths == {"startupProbe": "/livez", "livenessProbe": "/livez", "readinessProbe": "/readyz"}
    [budget] = of_kind("gpu", "PodDisruptionBudget").values()
    [scaler] = of_kind("gpu", "HorizontalPodAutoscaler").values()
    assert scaler["spec"]["scaleTargetRef"]["name"] == "forecastle-api"
    assert scaler["spec"]["minReplicas"] > budget["spec"]["minAvailable"] == 1
    assert "replicas" not in of_kind("gpu", "Deployment")["forecastle-api"]["spec"]
    # The delay and the 20 s for open requests end before the pod is killed.
    assert {"name": "FORECASTLE_DRAIN_DELAY_S", "value": "5"} in api["env"]
    assert pods("gpu")["api"]["spec"]["terminationGracePeriodSeconds"] > 5 + 20


def test_a_gpu_is_requested_by_the_worker_that_claims_jobs_for_one() -> None:
    every = {name: container(pod) for name, pod in pods("gpu").items()}
    assert {name for name, one in every.items() if "nvidia.com/gpu" in one["resources"]["limits"]} == {"worker-gpu"}
    claimed = {
        name: one["value"]
        for name, each in every.items()
        for one in each.get("env", [])
        if one["name"] == "FORECASTLE_WORKER_RESOURCES"
    }
    assert claimed == {"worker": "cpu", "worker-gpu": "gpu"}
    assert every["worker-gpu"]["image"] != every["worker"]["image"] == every["api"]["image"]


@pytest.mark.parametrize("overlay", NAMES)
def test_nothing_is_allowed_but_names_clients_the_database_and_webhooks(overlay: str) -> None:
    policies = {name: each["spec"] for name, each in of_kind(overlay, "NetworkPolicy").items()}
    everything = policies.pop("forecastle")
    assert everything["podSelector"] == {}
    assert everything["policyTypes"] == ["Ingress", "Egress"]
    [names] = everything["egress"]
    assert names["to"] == [{"namespaceSelector": {}, "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}}}]
    calls, scrapes = policies["forecastle-api"]["ingress"]
    assert scrapes["ports"] == [{"port": 9100}]
    assert calls["ports"] == [{"port": 8000}]
    assert calls["from"] == [{"namespaceSelector": {"matchLabels": {"forecastle/client": "true"}}}]
    [out] = policies["forecastle-scheduler"]["egress"]
    assert "169.254.0.0/16" in out["to"][0]["ipBlock"]["except"]
    [database] = policies["forecastle-database"]["egress"]
    assert database["ports"] == [{"port": 5432}]
    clients = policies["forecastle-database"]["podSelector"]["matchExpressions"][0]["values"]
    assert set(pods(overlay)) - {"postgres"} <= set(clients)


@pytest.mark.parametrize("overlay", NAMES)
def test_services_and_policies_select_pods_that_exist(overlay: str) -> None:
    labels = [pod["metadata"]["labels"].items() for pod in pods(overlay).values()]
    selectors = [each["spec"]["selector"] for each in of_kind(overlay, "Service").values()]
    selectors += [each["spec"]["selector"]["matchLabels"] for each in of_kind(overlay, "Deployment").values()]
    selectors += [
        each["spec"]["podSelector"].get("matchLabels", {}) for each in of_kind(overlay, "NetworkPolicy").values()
    ]
    assert all(any(selector.items() <= each for each in labels) for selector in selectors)
