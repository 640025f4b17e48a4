"""What the tests' cluster admits: Pod Security `restricted`, and this project's own promises about its pods."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Json = Mapping[str, Any]
# Rule, as a person reads it in the refusal -> whether a pod (its spec, its only container) keeps it. The first ones
# are those of Kubernetes's standard `restricted`; `namespace:` are what policies of a careful cluster add.
RULES: dict[str, Callable[[Json, Json], bool]] = {
    "runAsNonRoot != true": lambda spec, one: _inherited(spec, one, "runAsNonRoot") is True,
    "runAsUser=0": lambda spec, one: _inherited(spec, one, "runAsUser") not in (0, None),
    "allowPrivilegeEscalation != false": lambda spec, one: _own(one).get("allowPrivilegeEscalation") is False,
    "privileged": lambda spec, one: not _own(one).get("privileged"),
    "unrestricted capabilities": lambda spec, one: (
        "ALL" in _own(one).get("capabilities", {}).get("drop", ())
        and set(_own(one)["capabilities"].get("add", ())) <= {"NET_BIND_SERVICE"}
    ),
    "seccompProfile": lambda spec, one: (
        (_inherited(spec, one, "seccompProfile") or {}).get("type") in ("RuntimeDefault", "Localhost")
    ),
    "host namespaces": lambda spec, one: not any(spec.get(key) for key in ("hostNetwork", "hostPID", "hostIPC")),
    "restricted volume types": lambda spec, one: all(
        set(volume) == {"name", "emptyDir"} for volume in spec.get("volumes", ())
    ),
    "namespace: readOnlyRootFilesystem != true": lambda spec, one: _own(one).get("readOnlyRootFilesystem") is True,
    "namespace: must specify limits.cpu": lambda spec, one: "cpu" in _limits(one),
    "namespace: must specify limits.memory": lambda spec, one: "memory" in _limits(one),
    "namespace: service account token": lambda spec, one: spec.get("automountServiceAccountToken") is False,
    "namespace: image without a digest": lambda spec, one: "@sha256:" in one["image"],
    "namespace: an address in the environment": lambda spec, one: (
        not any(item["name"].startswith("AIRFLOW_CONN_") and "value" in item for item in one.get("env", ()))
    ),
}


def violations(pod: Json) -> list[str]:
    """The rules that a pod breaks."""
    spec = pod["spec"]
    (container,) = spec["containers"]
    return [rule for rule, keeps in RULES.items() if not keeps(spec, container)]


def _own(container: Json) -> Json:
    found: Json = container.get("securityContext") or {}
    return found


def _inherited(spec: Json, container: Json, key: str) -> Any:
    return _own(container).get(key, (spec.get("securityContext") or {}).get(key))


def _limits(container: Json) -> Json:
    found: Json = (container.get("resources") or {}).get("limits") or {}
    return found
