"""The Job manifest of the documentation: its schema, and the processes that it starts."""

import argparse
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from tfner.config import add_flags, make_config
from tfner.training.cluster import find_cluster

FILE = Path(__file__).parents[2] / "docs" / "how-to" / "kubernetes-job.yaml"


@pytest.fixture(scope="module")
def manifests():
    return {one["kind"]: one for one in yaml.safe_load_all(FILE.read_text("utf-8"))}


@pytest.mark.parametrize("kind", ["Service", "Job"])
def test_the_manifest_has_the_schema_of_kubernetes(manifests, kind):
    kubernetes_validate.validate(manifests[kind], "1.31", strict=True)


def test_the_schema_refuses_a_field_that_it_does_not_have(manifests):
    wrong = {**manifests["Job"], "spec": {**manifests["Job"]["spec"], "replicas": 2}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, "1.31", strict=True)


def test_every_pod_gets_its_own_task_of_one_cluster(manifests):
    job, service = manifests["Job"], manifests["Service"]
    pod = job["spec"]["template"]["spec"]
    [container] = pod["containers"]
    [text] = [one["value"] for one in container["env"] if one["name"] == "TF_CONFIG"]
    port, name = service["spec"]["ports"][0]["port"], job["metadata"]["name"]
    assert container["ports"] == [{"containerPort": port}]
    assert pod["subdomain"] == service["metadata"]["name"]
    assert service["spec"]["selector"] == {"job-name": name}
    number = job["spec"]["completions"]
    assert job["spec"]["parallelism"] == number
    clusters = [find_cluster({"TF_CONFIG": text.replace("$(INDEX)", str(index))}) for index in range(number)]
    assert [cluster.rank for cluster in clusters] == list(range(number))
    assert clusters[0].jobs["worker"] == [f"{name}-{index}.{pod['subdomain']}:{port}" for index in range(number)]


def test_its_command_line_is_one_that_train_takes(manifests):
    [container] = manifests["Job"]["spec"]["template"]["spec"]["containers"]
    assert container["command"] == ["python", "-m", "tfner.train"]
    parser = argparse.ArgumentParser()
    parser.add_argument("--resume", action="store_true")
    add_flags(parser)
    settings = vars(parser.parse_args(container["args"]))
    assert settings.pop("resume")
    assert make_config(**settings).strategy == "multiworker"
