"""Where Python packages come from: the extra arguments of every `uv pip install` here.

    python inference/models/packages.py requirements.txt

prints them, for the Makefile. Standard library only: it runs before anything is installed.

- INFERENCE_FIND_LINKS: folders or pages with wheels, separated by blanks
- INFERENCE_INDEX_URL: the index to use instead of uv's default
- without INFERENCE_FIND_LINKS, the find-links of pip's own configuration, which uv does not read

torch is taken as a CPU build where one can be had: the default wheel for Linux brings several GB
of CUDA libraries that no machine without a GPU can use.

    PackagesError           a setting or a requirement cannot be used; the message says what to do
"""

from __future__ import annotations

import ast
import logging
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import List, NamedTuple, Optional, Sequence
from urllib.parse import urlsplit

logger = logging.getLogger(__name__)

PROBE_SECONDS = 30  # the whole question to the CPU index; each request has 5 s of its own
TORCH = re.compile(r"^torch(?![\w.-])\s*(?:\[[^]]*\])?\s*(?P<rest>[^;#]*)", re.IGNORECASE)
# How a line of a model's requirements begins that is none itself.
CONSTRAINT, BUILD = "--constraint ", "--build-dependency "
PIN = re.compile(r"^={2,3}\s*(?P<version>[^\s,*]+)$")


class PackagesError(Exception):
    """A setting or a requirement cannot be used."""


class Listed(NamedTuple):
    """A model's lines by what they are for."""

    requirements: List[str]  # with options that uv takes in a file of requirements
    constraints: List[str]
    build: List[str]  # installed before the rest, which may replace them, as MLflow does


def listed(lines: Sequence[str]) -> Listed:
    constraints, build = (
        [line[len(prefix) :] for line in lines if line.startswith(prefix)] for prefix in (CONSTRAINT, BUILD)
    )
    return Listed([line for line in lines if not line.startswith((CONSTRAINT, BUILD))], constraints, build)


def install_arguments(requirements: Sequence[str], python_version: Optional[str] = None) -> List[str]:
    """The arguments to add to `uv pip install` for these requirement lines.

    python_version: "3.11", of the environment to install into; by default this interpreter's.
    Raises PackagesError if torch is named without an exact version.
    """
    python_version = python_version or "{}.{}".format(*sys.version_info)
    arguments = _index_arguments()
    links = find_links()
    for link in links:
        arguments += ["--find-links", link]
    version = torch_version(requirements)
    if version is None or platform.system() != "Linux":
        return arguments  # elsewhere the default wheel is the CPU build
    if any(_holds_torch(link, version, python_version) for link in links):
        return arguments
    if _cpu_index_answers(version, python_version):
        return [*arguments, "--torch-backend=cpu"]
    logger.warning(
        "no CPU build of torch %s for Python %s in the find-links (%s), and the CPU index does not "
        "answer: taking the default build, a download of several GB. To avoid that, put the CPU "
        "wheel into a folder and set INFERENCE_FIND_LINKS to it.",
        version,
        python_version,
        ", ".join(links) or "none are set",
    )
    return arguments


def find_uv() -> str:
    """The uv executable: this interpreter's own, else the one on PATH."""
    beside = Path(sys.executable).with_name("uv")
    found = str(beside) if beside.exists() else shutil.which("uv")
    if found is None:
        raise PackagesError(f"uv was not found; install it: {sys.executable} -m pip install uv")
    return found


def find_links() -> List[str]:
    """Folders and pages with wheels, most specific setting first."""
    own = os.environ.get("INFERENCE_FIND_LINKS")
    if own is None:
        own = os.environ.get("PIP_FIND_LINKS") or _pip_find_links()
    return own.split()


def torch_version(requirements: Sequence[str]) -> Optional[str]:
    """The pinned version of torch, None if torch is not among the requirements. A constraint may pin it."""
    lines = listed(requirements)
    for line in lines.requirements:
        match = TORCH.match(line.strip())
        if match is None:
            continue
        pins = [TORCH.match(each.strip()) for each in (line, *lines.constraints)]
        found = [PIN.match(re.split(r"\s--", each.group("rest"))[0].strip()) for each in pins if each]
        pin = next(filter(None, found), None)
        if pin is None:
            raise PackagesError(
                f"torch must have one exact version, found {line.strip()!r}: another version may "
                "score differently or be a CUDA build. Write torch==X.Y.Z."
            )
        return pin.group("version")
    return None


def read_requirements(path: Path) -> List[str]:
    """The requirement lines of a file, without comments, hashes and options."""
    lines = (
        re.split(r"(?:^|\s)#|\s--?\w|\\$", line)[0].strip() for line in path.read_text(encoding="utf-8").splitlines()
    )
    return [line for line in lines if line and not line.startswith("-")]


def _index_arguments() -> List[str]:
    url = os.environ.get("INFERENCE_INDEX_URL")
    if not url:
        return []
    if urlsplit(url).username:  # a token alone is one as well
        raise PackagesError(
            "INFERENCE_INDEX_URL holds a password, which every process list would show. Put it "
            "into ~/.netrc, or give the whole URL to uv itself as UV_DEFAULT_INDEX."
        )
    return ["--default-index", url]


def _pip_find_links() -> str:
    for command in ([sys.executable, "-m", "pip"], ["pip"]):
        try:
            answer = subprocess.run([*command, "config", "list"], capture_output=True, text=True, timeout=60)
        except (OSError, subprocess.TimeoutExpired):
            continue
        if answer.returncode == 0:
            return _parse_pip_config(answer.stdout)
    return ""


def _parse_pip_config(listing: str) -> str:
    """Of lines like global.find-links='/wheels'; pip prints the strongest setting last."""
    found = ""
    for line in listing.splitlines():
        name, _, value = line.partition("=")
        if name in ("global.find-links", "install.find-links", ":env:.find-links"):
            found = str(ast.literal_eval(value))
    return found


def _holds_torch(link: str, version: str, python_version: str) -> bool:
    folder = Path(link[len("file://") :] if link.startswith("file://") else link)
    public = version.split("+")[0]
    python_tag = "cp" + python_version.replace(".", "")
    for wheel in folder.glob("torch-*.whl"):
        _, build, *tags = wheel.stem.split("-")
        same_version = build == version or build.split("+")[0] == public == version
        if same_version and python_tag in tags and tags[-1].endswith(platform.machine()):
            return True
    return False


def _cpu_index_answers(version: str, python_version: str) -> bool:
    """Asks uv to resolve torch alone from its CPU index; nothing is installed."""
    with tempfile.TemporaryDirectory() as target:
        command = [find_uv(), "pip", "install", "--dry-run", "--no-deps", "--quiet"]
        command += ["--python", sys.executable, "--python-version", python_version]
        command += ["--target", target, "--torch-backend=cpu", "torch==" + version]
        environment = {**os.environ, "UV_HTTP_RETRIES": "0", "UV_HTTP_TIMEOUT": "5"}
        try:
            answer = subprocess.run(command, env=environment, capture_output=True, timeout=PROBE_SECONDS)
        except subprocess.TimeoutExpired:
            return False
    return answer.returncode == 0


def _main() -> int:
    logging.basicConfig(format="%(levelname)s: %(message)s", stream=sys.stderr)
    if len(sys.argv) != 2:
        print("usage: python inference/models/packages.py requirements.txt", file=sys.stderr)
        return 2
    try:
        arguments = install_arguments(read_requirements(Path(sys.argv[1])))
    except (PackagesError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(" ".join(shlex.quote(argument) for argument in arguments))
    return 0


if __name__ == "__main__":
    sys.exit(_main())
