"""The files in serving/: TF Serving's own protos can read them, and they agree with each other.

These tests do not run TF Serving. The protos of BatchingParameters and MonitoringConfig are not in a Python package, so their
published fields are copied below, as are the flags in main.cc and the ports in the entry point of the image.
"""

import inspect
import re
from pathlib import Path

import pytest
import yaml
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format, wrappers_pb2
from tensorflow_serving.config import model_server_config_pb2

from tfner.config import VARIANTS
from tfner.exports.warmup import _BATCHES
from tfner.tagging.served import ServedTagger

FOLDER = Path(__file__).parents[2] / "serving"
PORTS = {"8500": "grpc", "8501": "rest"}  # --port and --rest_api_port in the image's entry point
FLAGS = """port grpc_socket_path rest_api_port rest_api_num_threads rest_api_timeout_in_ms rest_api_enable_cors_support
enable_batching allow_version_labels_for_unavailable_models batching_parameters_file enable_per_model_batching_parameters
model_config_file model_config_file_poll_wait_seconds model_name model_base_path num_load_threads num_unload_threads
max_num_load_retries load_retry_interval_micros file_system_poll_wait_seconds flush_filesystem_caches
tensorflow_session_parallelism tensorflow_session_config_file tensorflow_intra_op_parallelism tensorflow_inter_op_parallelism
use_alts_credentials ssl_config_file platform_config_file per_process_gpu_memory_fraction saved_model_tags
grpc_channel_arguments grpc_max_threads enable_model_warmup num_request_iterations_for_warmup version monitoring_config_file
remove_unused_fields_from_bundle_metagraph prefer_tflite_model num_tflite_pools num_tflite_interpreters_per_pool
enable_signature_method_name_check xla_cpu_compilation_enabled enable_profiler thread_pool_factory_config_file""".split()

_TYPES = {"bool": 8, "string": 9, "int64": 3}


def message(name, *fields):
    """A message with fields given as `type name`. A type is a scalar, a wrapper or a message, with or without `repeated`."""
    file = descriptor_pb2.FileDescriptorProto(name=f"{name}.proto", package="published", syntax="proto3")
    file.dependency.append("google/protobuf/wrappers.proto")
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    for part, entries in ((name, fields), ("PrometheusConfig", ("bool enable", "string path"))):
        described = file.message_type.add(name=part)
        for number, entry in enumerate(entries, start=1):
            *repeated, kind, field = entry.split()
            one = described.field.add(name=field, number=number, label=3 if repeated else 1)
            if kind in _TYPES:
                one.type = _TYPES[kind]
            else:
                one.type = 11
                one.type_name = f".google.protobuf.{kind}" if kind.endswith("Value") else f".published.{kind}"
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"published.{name}"))()


def read(name, empty):
    return text_format.Parse((FOLDER / name).read_text("utf-8"), empty)


@pytest.fixture(scope="module")
def models():
    return read("models.config", model_server_config_pb2.ModelServerConfig()).model_config_list.config


@pytest.fixture(scope="module")
def batching():
    fields = """Int64Value max_batch_size, Int64Value batch_timeout_micros, Int64Value max_enqueued_batches,
    Int64Value num_batch_threads, StringValue thread_pool_name, repeated int64 allowed_batch_sizes,
    bool pad_variable_length_inputs, BoolValue enable_large_batch_splitting"""
    return read("batching.config", message("BatchingParameters", *(field.strip() for field in fields.split(","))))


@pytest.fixture(scope="module")
def monitoring():
    return read("monitoring.config", message("MonitoringConfig", "PrometheusConfig prometheus_config"))


@pytest.fixture(scope="module")
def service():
    return yaml.safe_load((FOLDER / "compose.yaml").read_text("utf-8"))["services"]["tfner"]


@pytest.fixture(scope="module")
def flags(service):
    return dict(entry.removeprefix("--").split("=", 1) for entry in service["command"])


def test_every_variant_is_served_under_its_name(models):
    assert sorted(model.name for model in models) == sorted(VARIANTS)
    for model in models:
        assert model.base_path == f"/models/{model.name}"
        assert model.model_platform == "tensorflow"


def test_labels_name_versions_that_the_policy_loads(models, flags):
    for model in models:
        assert model.version_labels == {"stable": 1, "canary": 2}
        assert model.model_version_policy.latest.num_versions >= len(model.version_labels)
    assert flags["allow_version_labels_for_unavailable_models"] == "true"


def test_the_image_is_pinned_and_its_flags_exist(service, flags):
    assert re.fullmatch(r"tensorflow/serving:2\.\d+\.\d+", service["image"])
    assert set(flags) <= set(FLAGS)


def test_files_and_folders_are_where_the_flags_and_models_look_for_them(service, flags, models):
    mounts = dict(entry.split(":")[:2][::-1] for entry in service["volumes"])
    assert (FOLDER / mounts["/models"]).resolve() == FOLDER.parent / "saved_models"
    assert all(Path(model.base_path).parent == Path("/models") for model in models)
    paths = [Path(value) for flag, value in flags.items() if flag.endswith("_file")]
    assert {path.name for path in paths} == {path.name for path in FOLDER.glob("*.config")}
    for path in paths:
        assert (FOLDER / mounts[str(path.parent)] / path.name).is_file()


def test_ports_are_those_of_the_image(service, monitoring):
    assert dict(entry.split(":") for entry in service["ports"]) == {port: port for port in PORTS}
    assert monitoring.prometheus_config.enable
    assert monitoring.prometheus_config.path == "/monitoring/prometheus/metrics"


def test_batching_suits_the_client_and_the_warm_up(batching, flags):
    assert flags["enable_batching"] == "true"
    # a larger request is refused and sent again in halves; with a larger warm-up request the model is not served at all
    assert inspect.signature(ServedTagger).parameters["texts"].default <= batching.max_batch_size.value
    assert max(_BATCHES) <= batching.max_batch_size.value
    assert batching.pad_variable_length_inputs
    assert batching.HasField("enable_large_batch_splitting")
    assert not batching.enable_large_batch_splitting.value


def test_the_readme_names_every_file_and_no_other_address():
    text = (FOLDER / "README.md").read_text("utf-8")
    for path in FOLDER.iterdir():
        assert path.name == "README.md" or f"`{path.name}`" in text
    assert set(re.findall(r"localhost:(\d+)", text)) <= set(PORTS)
