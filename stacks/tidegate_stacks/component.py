"""The shape of every component: a checked name, one door for its objects, typed outputs.

``put`` is the only place where an object becomes a resource. There it gets its parent, its name and
``ignore_changes`` on every path that the operator owns, so that no component can forget them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from importlib.metadata import version
from typing import Any

import pulumi

from tidegate_stacks import naming
from tidegate_stacks.objects import Obj
from tidegate_stacks.ownership import ignored


class Manifest(pulumi.CustomResource):
    """An object of the cluster as it is written, carried out by Pulumi's Kubernetes provider.

    The same type token as the provider's own classes have; those would cost 1.8 s and 135 MB to import and would
    rename fields on the way.
    """

    metadata: pulumi.Output[Any]

    def __init__(self, name: str, given: Obj, opts: pulumi.ResourceOptions) -> None:
        """``given`` is the whole object."""
        provider = pulumi.ResourceOptions(version=_provider_version())
        super().__init__(token(given), name, dict(given), pulumi.ResourceOptions.merge(opts, provider))


_FIRST = ("Namespace", "ConfigMap")


def ordered(given: Iterable[Obj]) -> list[Obj]:
    """Objects as they stand, but what others lie in or mount comes first."""
    return sorted(given, key=lambda one: _FIRST.index(one["kind"]) if one["kind"] in _FIRST else len(_FIRST))


def mounted(given: Obj) -> list[str]:
    """Names of the ConfigMaps that pods of a workload mount. Empty for anything else, and for what is known later."""
    part: Any = given
    for name in ("spec", "template", "spec"):
        part = part.get(name) if isinstance(part, Mapping) else None
    volumes = part.get("volumes", ()) if isinstance(part, Mapping) else ()
    return [volume["configMap"]["name"] for volume in volumes if "configMap" in volume]


def token(given: Mapping[str, Any]) -> str:
    """Pulumi's type of an object: ``kubernetes:apps/v1:Deployment``."""
    api_version = given["apiVersion"]
    return f"kubernetes:{api_version if '/' in api_version else 'core/' + api_version}:{given['kind']}"


@cache
def _provider_version() -> str:
    return version("pulumi-kubernetes")


Texts = Sequence[pulumi.Input[str]] | pulumi.Output[Any]
"""Texts that may be known later. One Output of all of them: another stack knows how many there are."""


def once_known(values: Texts, make: Callable[[Sequence[str]], str]) -> Any:
    """``make`` of texts that may be known later. At once where all are plain, so that what is wrong with them is said
    before anything is registered.
    """
    if isinstance(values, pulumi.Output):
        return values.apply(make)
    plain = [value for value in values if isinstance(value, str)]
    return make(plain) if len(plain) == len(values) else pulumi.Output.all(*values).apply(make)


class Component(pulumi.ComponentResource):
    """Base of all components."""

    def __init__(self, type_: str, name: str, opts: pulumi.ResourceOptions | None) -> None:
        """``type_``: ``tidegate:module:Type``. ValueError when no component may bear the name."""
        super().__init__(type_, naming.component_name(name), None, opts)
        self._name_of_component = name
        self._files: dict[str, pulumi.Resource] = {}

    def put(
        self,
        given: Obj,
        *,
        called: str = "",
        fixed: bool = False,
        protect: bool | None = None,
        keep: bool = False,
        after: Iterable[pulumi.Resource] = (),
        cluster: pulumi.ProviderResource | None = None,
    ) -> Manifest:
        """Register one object as a child. Its name in Pulumi is ``called``, else its name in the cluster.

        A workload waits for the ConfigMaps that it mounts, which are registered before it: a pod that starts earlier
        would read old files under the new files' checksum, and keep them.

        ``fixed``: a workload whose level no plan and no autoscaler moves, so that it stays Pulumi's. ``keep``: once
        the program names it no more, Pulumi forgets the object and leaves it in the cluster. ``cluster``: as ``access``
        makes one; None: the program's own.
        """
        name = called or given["metadata"]["name"]
        if not name.startswith(self._name_of_component):
            raise ValueError(
                f"{given['kind']} {name!r} must start with its component's name {self._name_of_component!r}"
            )
        if unknown := [read for read in mounted(given) if read not in self._files]:
            raise ValueError(f"{given['kind']} {name!r} mounts ConfigMap {unknown[0]!r}: register that before it")
        opts = pulumi.ResourceOptions(
            parent=self,
            protect=protect,
            retain_on_delete=keep or None,
            depends_on=[*after, *(self._files[read] for read in mounted(given))],
            provider=cluster,
            ignore_changes=[] if fixed else ignored(given["apiVersion"], given["kind"]),
        )
        made = Manifest(name, given, opts)
        if given["kind"] == "ConfigMap":
            self._files[given["metadata"]["name"]] = made
        return made

    def access(self, name: str, kubeconfig: pulumi.Input[str]) -> pulumi.ProviderResource:
        """Another cluster, for ``put``. The access stays a secret in Pulumi's state.

        The same resource as ``pulumi_kubernetes.Provider``, whose import costs 1.8 s and 135 MB.
        """
        opts = pulumi.ResourceOptions(parent=self, version=_provider_version())
        return pulumi.ProviderResource("kubernetes", name, {"kubeconfig": pulumi.Output.secret(kubeconfig)}, opts)

    def put_all(self, given: Iterable[Obj]) -> None:
        """Register objects, what others mount first."""
        for one in ordered(given):
            self.put(one)

    def finish(self, **outputs: Any) -> None:
        """Set the outputs as attributes, as the class annotates them, and register them: the last line of a component.

        TypeError when they are not exactly those that the class declares.
        """
        declared = {name for name, kind in type(self).__annotations__.items() if str(kind).startswith("pulumi.Output")}
        if set(outputs) != declared:
            raise TypeError(f"{type(self).__name__} declares {sorted(declared)}, got {sorted(outputs)}")
        resolved = {name: pulumi.Output.from_input(value) for name, value in outputs.items()}
        for name, value in resolved.items():
            setattr(self, name, value)
        self.register_outputs(resolved)
