"""A thinkube plugin in Python, without an SDK: a pod that shows a notice.

It proves that the contract does not depend on Rust. So it uses each feature that differs between languages: a round of
facts, optional values, variants, the log, and a problem from an exception.
"""

import functools
import json

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.lifecycle import (
    Descriptor,
    KindPermission,
    Permission_Emit,
    Permission_Read,
    Scope_OwnNamespace,
)
from wit_world.imports import log
from wit_world.imports.plan import (
    Check,
    Expectation_Cel,
    ObjectStep,
    OnChange,
    OnUninstall,
    Outcome,
    Outcome_NeedsFacts,
    Outcome_Plan,
    Plan,
    Probe_Object,
    Severity,
    Stage,
    Step_Object,
)
from wit_world.imports.types import (
    Answer_Served,
    Context,
    FieldError,
    ObjectRef,
    Problem_InvalidSettings,
    Problem_Other,
    Problem_UnmetRequirement,
    Query_Served,
    TypeMeta,
)

SETTINGS = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "additionalProperties": False,
    "required": ["image"],
    "properties": {
        "image": {
            "type": "string",
            "description": "An image with `sh` and `cat`.",
            "minLength": 1,
        },
        "text": {
            "type": "string",
            "description": "The text of the notice.",
            "default": "Hello from Python",
        },
    },
}

DEPLOYMENT = TypeMeta("apps/v1", "Deployment")


def problems(function):
    """Turns an exception into a problem; otherwise the host would see only that the instance ended."""

    @functools.wraps(function)
    def wrapped(*args):
        try:
            return function(*args)
        except Err:
            raise
        except Exception as error:
            raise Err(Problem_Other(f"{type(error).__name__}: {error}")) from error

    return wrapped


class Lifecycle(exports.Lifecycle):
    def describe(self) -> Descriptor:
        own = Scope_OwnNamespace()
        return Descriptor(
            name="notice",
            version="0.1.0",
            title="Notice",
            summary="A pod that shows a text.",
            license="Apache-2.0",
            source="",
            settings_schema=json.dumps(SETTINGS),
            namespace_setting=None,
            secret_inputs=[],
            dependencies=[],
            deployment_order=None,
            permissions=[
                Permission_Emit(KindPermission("v1", "Namespace", own)),
                Permission_Emit(KindPermission("v1", "ConfigMap", own)),
                Permission_Emit(KindPermission(DEPLOYMENT.api_version, DEPLOYMENT.kind, own)),
                Permission_Read(KindPermission(DEPLOYMENT.api_version, DEPLOYMENT.kind, own)),
            ],
        )

    @problems
    def plan_release(self, context: Context) -> Outcome:
        question = Query_Served(DEPLOYMENT)
        answers = [fact.answer for fact in context.facts if fact.query == question]
        if not answers:
            return Outcome_NeedsFacts([question])
        if answers[0] != Answer_Served(True):
            raise Err(Problem_UnmetRequirement("this cluster serves no Deployments"))
        settings = json.loads(context.settings)
        text = settings["text"]
        if text.strip() == "":
            raise Err(Problem_InvalidSettings(FieldError("/text", "the notice is empty")))
        log.log(log.Level.INFO, f"a notice of {len(text)} characters")
        return Outcome_Plan(plan(context.namespace, settings["image"], text))


def plan(namespace: str, image: str, text: str) -> Plan:
    labels = {"app": "notice"}
    confined = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    config = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "notice", "namespace": namespace},
        "data": {"text": text},
    }
    deployment = {
        "apiVersion": DEPLOYMENT.api_version,
        "kind": DEPLOYMENT.kind,
        "metadata": {"name": "notice", "namespace": namespace},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "securityContext": {
                        "runAsNonRoot": True,
                        "runAsUser": 1000,
                        "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    "containers": [
                        {
                            "name": "notice",
                            "image": image,
                            "command": ["sh", "-c", "cat /notice/text && exec sleep 1000000"],
                            "securityContext": confined,
                            "volumeMounts": [{"name": "notice", "mountPath": "/notice"}],
                        }
                    ],
                    "volumes": [{"name": "notice", "configMap": {"name": "notice"}}],
                },
            },
        },
    }
    own_namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
    says = Check(
        name="not-empty",
        title="The notice is not empty",
        probe=Probe_Object(ObjectRef("v1", "ConfigMap", namespace, "notice")),
        expect=Expectation_Cel("size(object.data.text) > 0"),
        timeout_seconds=5,
        severity=Severity.ERROR,
        remedy=None,
    )
    return Plan(
        preflight=[],
        stages=[
            Stage("namespace", [step(own_namespace)], [], []),
            Stage("notice", [step(config), step(deployment)], [], []),
        ],
        health=[says],
        tests=[],
        notes=f"kubectl logs -n {namespace} deploy/notice",
    )


def step(manifest: dict) -> Step_Object:
    return Step_Object(ObjectStep(json.dumps(manifest), OnChange.UPDATE, OnUninstall.DELETE, []))
