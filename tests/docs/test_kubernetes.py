"""The manifests of the documentation: their schemas, and the commands that they run."""

import argparse
import shlex
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from tfner import predict
from tfner.config import add_flags, make_config
from tfner.training.cluster import find_cluster

FOLDER = Path(__file__).parents[2] / "docs" / "how-to"
FILE = FOLDER / "kubernetes-job.yaml"


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


@pytest.fixture(scope="module")
def ray_job():
    return yaml.safe_load((FOLDER / "ray-job.yaml").read_text("utf-8"))["spec"]


def test_the_pods_of_the_ray_job_have_the_schema_of_kubernetes(ray_job):
    cluster = ray_job["rayClusterSpec"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    assert len(groups) == 2
    for group in groups:
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, **group["template"]}
        kubernetes_validate.validate(pod, "1.31", strict=True)
        for container in pod["spec"]["containers"]:
            assert {"name": "RAY_USAGE_STATS_ENABLED", "value": "0"} in container["env"]


def test_the_ray_job_runs_predict_with_an_actor_for_each_core(ray_job):
    program, *argv = shlex.split(ray_job["entrypoint"].replace("python -m tfner.predict", "predict"))
    assert program == "predict"
    arguments = predict._parser().parse_args(argv)
    assert (arguments.engine, bool(arguments.output)) == ("ray", True)
    [group] = ray_job["rayClusterSpec"]["workerGroupSpecs"]
    cores = [int(one["resources"]["limits"]["cpu"]) for one in group["template"]["spec"]["containers"]]
    assert arguments.actors == group["replicas"] * sum(cores)
    mounts = [one["mountPath"] for one in group["template"]["spec"]["containers"][0]["volumeMounts"]]
    assert all(path.startswith(f"{mounts[0]}/") for path in (arguments.model, arguments.file, arguments.output))
