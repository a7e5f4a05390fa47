"""The processes that train together: what TF_CONFIG and a Slurm step lead to, and which of them an error names."""

import json
import socket

import pytest
import tensorflow as tf
from support.errors import refused

from tfner.training.cluster import Cluster, find_cluster

TWO = {"worker": ["host1:12345", "host2:12346"]}


def tf_config(cluster, **task):
    return {"TF_CONFIG": json.dumps({"cluster": cluster, "task": task})}


def slurm_step(**changed):
    step = {"NODELIST": "n[1-2,10]", "TASKS_PER_NODE": "2(x2),1", "NUM_TASKS": "5"}
    variables = {f"SLURM_STEP_{name}": value for name, value in step.items()} | {"SLURM_PROCID": "4", "SLURM_JOB_ID": "7"}
    return variables | changed


@pytest.mark.parametrize("environment", [{}, {"TF_CONFIG": ""}, {"TF_CONFIG": "{}"}, {"SLURM_STEP_NUM_TASKS": "1"}])
def test_a_process_on_its_own_has_no_cluster(environment):
    assert find_cluster(environment) is None


def test_the_first_worker_is_the_chief_where_no_task_is_called_so():
    cluster = find_cluster(tf_config(TWO, type="worker", index=1))
    assert (cluster.rank, cluster.tasks) == (1, [("worker", 0), ("worker", 1)])
    assert cluster.name("worker", 1) == "worker 1 (host2:12346)"


def test_a_task_called_chief_comes_before_all_workers():
    cluster = find_cluster(tf_config({**TWO, "chief": ["host0:1"]}, type="worker", index="1"))
    assert (cluster.rank, cluster.tasks[0]) == (2, ("chief", 0))


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("no JSON", '{"cluster": {'),
        ("no object", '["host1:12345"]'),
        ("job of another kind", json.dumps({"cluster": {"ps": ["host1:1"]}, "task": {"type": "ps", "index": 0}})),
        ("address without a port", json.dumps({"cluster": {"worker": ["host1"]}, "task": {"type": "worker", "index": 0}})),
        ("no task", json.dumps({"cluster": TWO})),
        ("task beyond the cluster", json.dumps({"cluster": TWO, "task": {"type": "worker", "index": 2}})),
        ("task of an absent job", json.dumps({"cluster": TWO, "task": {"type": "chief", "index": 0}})),
    ],
)
def test_a_broken_tf_config_is_refused(key, text):
    with refused(f"TF_CONFIG: {key}"):
        find_cluster({"TF_CONFIG": text})


def test_slurm_tasks_get_the_nodes_in_the_order_of_the_step():
    cluster = find_cluster(slurm_step())
    port = 12000 + 7 * 16
    assert cluster.jobs == {"worker": [f"n1:{port}", f"n1:{port + 1}", f"n2:{port}", f"n2:{port + 1}", f"n10:{port}"]}
    assert (cluster.rank, cluster.task) == (4, 4)


def test_slurm_nodes_are_those_of_tensorflows_resolver_where_their_order_is_that_of_their_names(monkeypatch):
    step = slurm_step(SLURM_STEP_NODELIST="n[01-03]")
    for name, value in step.items():
        monkeypatch.setenv(name, value)
    resolver = tf.distribute.cluster_resolver.SlurmClusterResolver(
        port_base=12000 + 7 * 16, gpus_per_node=2, gpus_per_task=1, auto_set_gpu=False
    )
    cluster = find_cluster(step)
    assert cluster.jobs == resolver.cluster_spec().as_dict()
    assert (cluster.job, cluster.task) == resolver.get_task_info()


@pytest.mark.parametrize(
    ("key", "changed"),
    [
        ("a variable that is missing", {"SLURM_STEP_NODELIST": ""}),
        ("a list that cannot be read", {"SLURM_STEP_NODELIST": "n[1-"}),
        ("other numbers of tasks", {"SLURM_STEP_NUM_TASKS": "6"}),
    ],
)
def test_a_slurm_step_that_does_not_fit_is_refused(key, changed):
    with refused(f"Slurm: {key}"):
        find_cluster(slurm_step(**changed))


def test_an_error_of_tensorflow_leads_to_the_address_of_the_process_it_names():
    cluster = Cluster(TWO, "worker", 0, "TF_CONFIG")
    error = "Error reported from /job:worker/task:1: unhealthy:\n/job:worker/replica:0/task:1 (seen by /job:worker/task:0)"
    assert cluster.lost(error) == "worker 1 (host2:12346)"
    assert cluster.lost("Connection reset by peer") == "another process"


def test_of_several_processes_that_an_error_names_those_that_run_are_not_lost():
    with socket.socket() as running, socket.socket() as gone:
        for one in (running, gone):
            one.bind(("127.0.0.1", 0))
        running.listen()  # nothing listens on the other
        addresses = ["127.0.0.1:1", *(f"127.0.0.1:{one.getsockname()[1]}" for one in (running, gone))]
        cluster = Cluster({"worker": addresses}, "worker", 0, "TF_CONFIG")
        assert cluster.lost("/job:worker/task:1 was told by /job:worker/task:2") == f"worker 2 ({addresses[2]})"
