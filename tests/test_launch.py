"""Tests that the launch files are valid and that the `ktg` commands written in them exist."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import click
import jsonschema
import pytest
import yaml
from test_packaging import CONSTRAINTS

from ktg.cli import commands

ROOT = Path(__file__).parents[1]
LAUNCH = ROOT / "launch"
GPU = ROOT / "benchmarks/gpu.sh"
SCRIPTS = [*sorted(LAUNCH.glob("*.sh")), LAUNCH / "slurm.sbatch", ROOT / ".ci/run", GPU]
FILES = [*sorted(path for path in LAUNCH.iterdir() if path.is_file()), GPU]
COMMAND = re.compile(r"(?:^|[\s'\"`/(])ktg (?P<rest>[a-z].*)")
NAME = {path: str(path.relative_to(ROOT)) for path in (*SCRIPTS, *FILES)}


def test_scripts_are_headed_by_what_where_how_long_and_an_example():
    for path in FILES:
        lines = path.read_text(encoding="utf-8").splitlines()[:20]
        head = [line for line in lines if line.startswith("#")]
        for word in ("What:", "Where:", "How long:", "Example:"):
            assert any(line.startswith(f"# {word}") for line in head), f"{path.name} has no {word}"


@pytest.mark.parametrize("path", SCRIPTS, ids=NAME.get)
def test_scripts_parse_and_stop_at_the_first_error(path):
    text = path.read_text(encoding="utf-8")
    subprocess.run(["bash", "-n", str(path)], check=True)
    assert "\nset -euo pipefail\n" in text
    if shutil.which("shellcheck"):
        subprocess.run(["shellcheck", str(path)], check=True)


@pytest.mark.parametrize("path", [*FILES, ROOT / "constraints.txt"], ids=lambda path: path.name)
def test_no_file_names_a_host_of_packages(path):
    assert not re.search(r"https?://|index-url [^|]*\.", path.read_text(encoding="utf-8"))


def find_commands(text):
    """Yield the `ktg` command lines in a text, continued lines joined, as lists of words."""
    for line in re.sub(r"\s*\\\n\s*#?\s*", " ", text).splitlines():
        for match in COMMAND.finditer(line):
            rest = re.split(r"['`]|\s{2,}|\s[#|&]|;|\)", match["rest"].replace('"', ""))[0]
            if rest.split()[0] in commands.commands or rest.split()[0].startswith("-"):
                yield shlex.split(rest)


def check_words(words, *, whole=False):
    """Assert that the words after `ktg` are a command with options and values that it takes.

    With `whole`, they must also contain everything that the command needs.
    """
    command, words = commands, list(words)
    while isinstance(command, click.Group):
        if words[0].startswith("-"):
            break
        assert words[0] in command.commands, f"there is no command {words}"
        command = command.commands[words.pop(0)]
    if {"-h", "--help", "--version"} & set(words):
        return
    context = click.Context(command, info_name=command.name, resilient_parsing=True)
    try:
        given, rest, _ = command.make_parser(context).parse_args(words)
        assert all(word.startswith("$") for word in rest), f"{command.name} does not take {rest}"
        for parameter in command.params:
            _check_value(parameter, given.get(parameter.name), context, whole)
    except click.UsageError as error:
        raise AssertionError(f"{command.name} {words}: {error.format_message()}") from error


def _check_value(parameter, given, context, whole):
    """Assert that a number or choice is allowed, and (`whole`) that a required value is there."""
    values = [given] if isinstance(given, str) else given
    values = list(values) if isinstance(values, list | tuple) else []
    lacking = f"{context.info_name} lacks {parameter.name}"
    assert values or not (whole and parameter.required), lacking
    if isinstance(parameter.type, click.Choice | click.IntRange | click.FloatRange):
        for value in values:
            if not value.isupper() and not value.startswith("$"):  # what stands for a value
                parameter.type.convert(value, parameter, context)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_commands_in_launch_files_exist(path):
    for words in find_commands(path.read_text(encoding="utf-8")):
        check_words(words)


def test_a_wrong_command_is_found():
    (good,) = find_commands(
        "srun -- ktg search space.yaml --address auto \\\n    --storage /shared"
    )
    assert good == ["search", "space.yaml", "--address", "auto", "--storage", "/shared"]
    check_words(good)
    wrongs = (
        "ktg search space.yaml --adress auto",
        "# ktg graph draw best.yaml",
        "ktg export a b",
        "ktg train best.yaml --seeds 0",
        "ktg train best.yaml --seeds",
    )
    for wrong in wrongs:
        ((*words,),) = find_commands(wrong)
        with pytest.raises(AssertionError):
            check_words(words)
    check_words(["search"])
    with pytest.raises(AssertionError, match="search lacks space"):
        check_words(["search"], whole=True)


CLUSTERS = ("slurm.sbatch", "kuberay-job.yaml", "ray-cluster.yaml")


@pytest.mark.parametrize("name", CLUSTERS)
def test_cluster_files_search_with_shared_storage(name):
    commands_of_file = find_commands((LAUNCH / name).read_text(encoding="utf-8"))
    searches = [set(words) for words in commands_of_file if words[0] == "search"]
    assert any({"--address", "auto", "--storage", "--tracking-uri"} <= words for words in searches)


def ray_version():
    (ray,) = [pin for pin in CONSTRAINTS if pin.name == "ray"]
    (version,) = ray.specifier
    return version.version


@pytest.mark.parametrize("name", ["Dockerfile", "kuberay-job.yaml", "ray-cluster.yaml"])
def test_cluster_files_use_the_ray_of_the_constraints(name):
    text = (LAUNCH / name).read_text(encoding="utf-8")
    named = re.findall(r"rayproject/ray:([\d.]+)|rayVersion: \"([\d.]+)\"", text)
    assert {"".join(version) for version in named} == {ray_version()}


def test_the_cluster_of_vms_fits_rays_own_schema():
    program = [sys.executable, "-c", "import ray; print(ray.__path__[0])"]
    ray = Path(subprocess.check_output(program, text=True).strip())
    schema = json.loads((ray / "autoscaler/ray-schema.json").read_text(encoding="utf-8"))
    config = yaml.safe_load((LAUNCH / "ray-cluster.yaml").read_text(encoding="utf-8"))
    jsonschema.validate(config, schema)
    assert config["head_node_type"] in config["available_node_types"]
    least = sum(kind.get("min_workers", 0) for kind in config["available_node_types"].values())
    assert least <= config["max_workers"]


def test_the_job_on_kubernetes_mounts_what_it_names():
    job = yaml.safe_load((LAUNCH / "kuberay-job.yaml").read_text(encoding="utf-8"))
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    cluster = job["spec"]["rayClusterSpec"]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        volumes = {volume["name"] for volume in pod["volumes"]}
        for container in pod["containers"]:
            assert {mount["name"] for mount in container["volumeMounts"]} == volumes


FAKE = """#!/bin/bash
printf '%s\\n' "$(basename "$0")" "$@" >> "$CALLS"
echo "$PWD" "$KTG_CACHE" "$RAY_AUTH_MODE" "${#RAY_AUTH_TOKEN}" > "$CALLS.environment"
"""


def test_the_slurm_job_starts_ray_on_all_nodes_and_searches_from_the_shared_folder(tmp_path):
    """A script that records how it was called takes the place of `srun`."""
    for tool in (tmp_path / "bin/srun", tmp_path / ".venv/bin/activate"):
        tool.parent.mkdir(parents=True)
        tool.write_text(FAKE if tool.name == "srun" else "", encoding="utf-8")
        tool.chmod(0o755)
    (tmp_path / "a space.yaml").touch()
    path = f"{tmp_path}/bin:{Path(sys.executable).parent}:{os.environ['PATH']}"
    slurm = {"SLURM_JOB_NUM_NODES": "2", "SLURM_CPUS_PER_TASK": "8", "SHARED": "sha red"}
    calls = {"CALLS": str(tmp_path / "calls"), "PATH": path, "HOME": str(tmp_path)}
    command = ["bash", str(LAUNCH / "slurm.sbatch"), "a space.yaml", "--trials", "5"]
    subprocess.run(command, cwd=tmp_path, env=slurm | calls, check=True)

    shared = tmp_path / "sha red"
    words = (tmp_path / "calls").read_text().splitlines()
    start, searching = words[: words.index("--")], words[words.index("--") + 1 :]
    assert start[:4] == ["srun", "--kill-on-bad-exit=1", "ray", "symmetric-run"]
    assert start[start.index("--min-nodes") + 1] == "2"
    assert start[start.index("--num-cpus") + 1] == "8"
    assert searching[:3] == ["ktg", "search", f"{tmp_path}/a space.yaml"]
    assert searching[-2:] == ["--trials", "5"]
    assert f"sqlite:///{shared}/mlflow.db" in searching and f"{shared}/ray" in searching
    authorisation = (tmp_path / "calls.environment").read_text().split(str(shared))[2].split()[1:]
    assert authorisation == ["token", "64"]
    check_words(searching[1:])


@pytest.mark.parametrize(
    ("options", "exports"),
    [
        ([], True),
        (["--trials", "5"], True),
        (["--name", "other"], False),
        (["--seed", "1", "--name=other"], False),
        (["--tracking-uri", "sqlite:///other.db"], False),
    ],
)
def test_the_quickstart_exports_no_other_search_than_its_own(tmp_path, options, exports):
    """A script that records how it was called takes the place of `ktg`."""
    script = tmp_path / "launch/quickstart.sh"
    stopped = "#!/bin/bash\nexit 1\n"  # of an earlier search: there is none
    tools = {".venv/bin/ktg": FAKE, ".venv/bin/python": stopped, "launch/install.sh": ""}
    for name, text in tools.items():
        tool = tmp_path / name
        tool.parent.mkdir(parents=True, exist_ok=True)
        tool.write_text(text, encoding="utf-8")
        tool.chmod(0o755)
    shutil.copy(LAUNCH / "quickstart.sh", script)
    calls = {"CALLS": str(tmp_path / "calls"), "PATH": os.environ["PATH"]}
    subprocess.run(["bash", str(script), *options], env=calls, check=True)
    searched = ["ktg", "search", "search_spaces/quickstart.yaml", *options]
    exported = ["ktg", "export", "quickstart", "-o", "best.yaml", "--force"]
    assert (tmp_path / "calls").read_text().splitlines() == searched + exported * exports
