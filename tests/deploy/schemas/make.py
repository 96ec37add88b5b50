"""Writes tfjob.json: the JSON Schema of a TFJob and of a PersistentVolumeClaim, in which unknown fields are errors.

    uv run --no-project --python 3.11 --with kubeflow-training==1.9.4 --with kubernetes-validate==1.37.0 \
        python tests/deploy/schemas/make.py

A TFJob's own fields are those of the models in kubeflow-training, which the training operator generates from the same
Go types as its CRD; the pods' are those of Kubernetes' OpenAPI, packaged by kubernetes-validate.
Both packages, and what is written here of them: Apache License 2.0, The Kubeflow Authors, The Kubernetes Authors.
"""

import importlib.metadata
import json
import re
from importlib import resources
from pathlib import Path
from typing import Any, Dict

from kubeflow.training import models

KUBERNETES = "1.31.0"  # whose types the training operator 1.9 is built with
FOR = {"V1ObjectMeta": "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"}
FOR["V1LabelSelector"] = "io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector"
FOR["V1PodTemplateSpec"] = "io.k8s.api.core.v1.PodTemplateSpec"
FOR["Quantity"] = "io.k8s.apimachinery.pkg.api.resource.Quantity"
PLAIN = {"str": "string", "int": "integer", "bool": "boolean", "object": "object", "datetime": "string"}
# Kubernetes' OpenAPI calls a quantity any string or number; this is the grammar in its documentation.
QUANTITY = {"type": ["string", "number"], "pattern": r"^[+-]?(\d+\.?\d*|\.\d+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?\d+)?$"}


def main() -> None:
    folder = resources.files("kubernetes_validate") / "kubernetes-json-schema" / f"v{KUBERNETES}-local-strict"
    kubernetes = json.loads((folder / "_definitions.json").read_text())["$defs"]
    kubernetes[FOR["Quantity"]] = QUANTITY
    defs: Dict[str, Any] = {}
    add_model(models.KubeflowOrgV1TFJob, defs)
    job = defs["KubeflowOrgV1TFJob"]
    job["properties"].update(apiVersion={"const": "kubeflow.org/v1"}, kind={"const": "TFJob"})
    job["required"] = ["apiVersion", "kind", "metadata", "spec"]
    claim = defs["io.k8s.api.core.v1.PersistentVolumeClaim"] = kubernetes["io.k8s.api.core.v1.PersistentVolumeClaim"]
    claim["required"] = ["apiVersion", "kind", "metadata", "spec"]
    waiting = list(defs.values())
    while waiting:  # what is referred to, and what that refers to
        for name in re.findall(r'"#/\$defs/([^"]+)"', json.dumps(waiting.pop())):
            if name not in defs:
                defs[name] = kubernetes[name]
                waiting.append(kubernetes[name])
    made_from = [f"{name} {importlib.metadata.version(name)}" for name in ("kubeflow-training", "kubernetes-validate")]
    comment = f"Written by make.py from {' and '.join(made_from)} (Kubernetes {KUBERNETES}), both Apache License 2.0."
    lines = [f"{json.dumps(name)}: {json.dumps(plain(value), sort_keys=True)}" for name, value in sorted(defs.items())]
    text = f'{{"$comment": {json.dumps(comment)},\n"$defs": {{\n' + ",\n".join(lines) + "\n}}\n"
    json.loads(text)
    Path(__file__).with_name("tfjob.json").write_text(text)


def add_model(model: Any, defs: Dict[str, Any]) -> None:
    """Adds the schema of a generated model, and of those that it names, to `defs`."""
    properties = {key: schema_of(model.openapi_types[name], defs) for name, key in model.attribute_map.items()}
    required = [model.attribute_map[name] for name in model.openapi_types if not allows_none(model, name)]
    schema = {"type": "object", "properties": properties, "additionalProperties": False}
    defs[model.__name__] = {**schema, "required": required} if required else schema


def schema_of(kind: str, defs: Dict[str, Any]) -> Dict[str, Any]:
    """Returns the schema of a type as the generated models write it: str, list[X], dict(str, X), a class's name."""
    items = re.fullmatch(r"list\[(.*)\]|dict\(str, (.*)\)", kind)
    if items and items[1]:
        return {"type": "array", "items": schema_of(items[1], defs)}
    if items:
        return {"type": "object", "additionalProperties": schema_of(items[2], defs)}
    if kind in PLAIN:
        return {"type": PLAIN[kind]}
    if kind not in FOR and kind not in defs:
        add_model(getattr(models, kind), defs)
    return {"$ref": f"#/$defs/{FOR.get(kind, kind)}"}


def allows_none(model: Any, name: str) -> bool:
    """Tells whether a generated model takes None for a field: the setter of a required one says that it must not."""
    return not any("must not be `None`" in str(constant) for constant in getattr(model, name).fset.__code__.co_consts)


def plain(value: Any) -> Any:
    """Returns a schema without descriptions, Kubernetes' own keys, and null as a value of what may be left out."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {name: plain(item) for name, item in value.items() if not name.startswith("x-kubernetes")}
    if isinstance(kept.get("description"), str):
        del kept["description"]
    if isinstance(kept.get("type"), list) and "null" in kept["type"]:
        kept["type"] = [name for name in kept["type"] if name != "null"]
        if len(kept["type"]) == 1:
            kept["type"] = kept["type"][0]
    return kept


if __name__ == "__main__":
    main()
