"""The operator as kopf runs it: ``kopf run -m tidegate.shell.app --standalone --namespace shop``.

kopf keeps the process, its signals and the watch of the few ScalingPolicies; ``runtime`` holds everything else. Start
it by module, never by file path: a top-level folder of this project is called ``operator``, and so is a module of the
standard library.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import kopf

from tidegate.pauses import Pauses
from tidegate.shell.admission import GROUP, INVALID, NAMESPACED, OF_THE_CLUSTER, VERSION, judge
from tidegate.shell.runtime import Runtime
from tidegate.shell.settings import Settings, SettingsError, load_settings, serves_admission, watches_whole_cluster
from tidegate.shell.webhook import NoErrors, WebhookServer

log = logging.getLogger("tidegate.admission")

_runtime: Runtime | None = None


@kopf.on.login()
def login(**kwargs: Any) -> kopf.ConnectionInfo | None:
    """The pod's own account, else the kubeconfig; no client library is needed for either."""
    return kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)


@kopf.on.startup(backoff=5.0)
async def startup(settings: kopf.OperatorSettings, **_: Any) -> None:
    """Set kopf up, then start the loop: kopf itself begins when we have reached the API server."""
    global _runtime
    try:
        ours = load_settings()
    except SettingsError as error:  # trying again would change nothing
        raise kopf.PermanentError(str(error)) from error
    configure(settings, ours)
    _runtime = Runtime(ours)
    await _runtime.start()


@kopf.on.cleanup()
async def cleanup(**_: Any) -> None:
    """End the loop first, then give the Lease up."""
    if _runtime is not None:
        await _runtime.stop()


@kopf.on.event("tidegate.dev", "v1alpha1", "scalingpolicies")
@kopf.on.event("tidegate.dev", "v1alpha1", "overrides")
async def object_seen(event: kopf.RawEvent, body: kopf.Body, resource: kopf.Resource, **_: Any) -> None:
    """A policy, an override or a pool appeared, changed or went."""
    if _runtime is not None:
        _runtime.object_seen(str(resource.kind), str(event["type"]), dict(body))


if watches_whole_cluster():  # pools are of the cluster: an operator of some namespaces may not even list them
    kopf.on.event("tidegate.dev", "v1alpha1", "capacitypools")(object_seen)


async def admit(
    *,
    resource: kopf.Resource,
    userinfo: Mapping[str, object],
    warnings: list[str],
    operation: str | None = None,
    new: kopf.Body | None = None,
    old: kopf.Body | None = None,
    **_: Any,
) -> None:
    """Refuse what the operator could not use, in words, and warn of what would not do what was meant.

    Answered in the event loop and at once, from the object and from what was read already. A deletion is never refused.
    """
    if _runtime is None or new is None or operation not in ("CREATE", "UPDATE"):
        return
    body = dict(new)
    judgement = judge(str(resource.kind), body, None if old is None else dict(old), _runtime.store)
    warnings.extend(judgement.warnings)
    if judgement.refusal:
        metadata = body.get("metadata") or {}
        name = f"{metadata.get('namespace', '')}/{metadata.get('name', '')}".lstrip("/")
        log.info("refused %s %s of %s: %s", resource.kind, name, userinfo.get("username"), judgement.refusal)
        raise kopf.AdmissionError(judgement.refusal, code=INVALID)


if serves_admission():  # with a handler and no server kopf ends the operator
    for _resource in (*NAMESPACED, *(OF_THE_CLUSTER if watches_whole_cluster() else ())):
        kopf.on.validate(GROUP, VERSION, _resource, id=_resource, operations=["CREATE", "UPDATE"])(admit)


CHUNK = 50
"""Objects of a kind that kopf lists in one go; by default all. Whoever may annotate one makes it 256 KiB large."""


def configure(settings: kopf.OperatorSettings, ours: Settings) -> None:
    """What kopf needs to be told: nothing of it may write to our objects, and no watch may hang for ever."""
    whole_cluster = ours.namespaces is None
    # With rights in our namespaces alone, kopf would ask for all namespaces and CRDs, be refused, and try for 54 s
    # before it watches any policy.
    settings.scanning.disabled = not whole_cluster
    settings.persistence.finalizer = "tidegate.dev/kopf"
    settings.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix="kopf.tidegate.dev")
    settings.persistence.diffbase_storage = kopf.AnnotationsDiffBaseStorage(prefix="kopf.tidegate.dev")
    settings.peering.standalone = True  # a Lease of our own decides who acts
    settings.posting.enabled = False
    settings.watching.server_timeout = 290
    settings.watching.client_timeout = 300
    settings.networking.request_timeout = 30
    settings.networking.connect_timeout = 10
    # Without end: after the last one kopf would end the operator, and a minute without an API server cost a restart.
    settings.networking.error_backoffs = Pauses(first=1.0, longest=10.0)
    settings.watching.chunk_size = CHUNK
    settings.queueing.idle_timeout = 0.2  # until then the task of each object holds it, as it was told last
    logging.getLogger("kopf.objects").setLevel(logging.WARNING)  # "handler succeeded" at each of our status writes
    if ours.admission_certificates is not None:
        # ``managed`` stays unset: the chart makes the webhook's configuration, and the operator may not touch it.
        settings.admission.server = WebhookServer(ours.admission_certificates, ours.listen_admission)
        logging.getLogger("kopf.objects").addFilter(NoErrors())
        logging.getLogger("aiohttp.access").setLevel(logging.WARNING)  # a line for each object that anybody applies
