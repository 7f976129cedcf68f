"""``tidegate embedded``: a cluster on this machine, for kubectl, demos and tests."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tidegate.embedded.cluster import EmbeddedCluster


def embedded(
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1; 0 picks a free one.", min=0, max=65535)] = 8901,
    apply: Annotated[
        list[Path] | None, typer.Option(help="YAML file to apply at the start (CRDs first); may be repeated.")
    ] = None,
    nodes: Annotated[int, typer.Option(help="Machines that are up; 0: there is always room.", min=0)] = 0,
    node_cpu: Annotated[float, typer.Option(help="Cores of each machine.", min=0.001)] = 32.0,
    node_memory: Annotated[str, typer.Option(help="Memory of each machine; counts with --show-pods.")] = "128Gi",
    node_label: Annotated[
        list[str] | None, typer.Option(help="Label of the machines, name=value; may be repeated.")
    ] = None,
    show_pods: Annotated[
        bool, typer.Option("--show-pods", help="Pods as objects, each on a machine of its own; needs --nodes.")
    ] = False,
    machine_seconds: Annotated[
        float, typer.Option(help="Seconds until a new machine is up; 0: none comes.", min=0)
    ] = 0.0,
    creation_rate: Annotated[
        float, typer.Option(help="Pods per second that the whole cluster creates.", min=0.001)
    ] = 20.0,
    kubeconfig: Annotated[Path | None, typer.Option(help="Write a kubeconfig to this file.")] = None,
) -> None:
    """Serve an in-memory Kubernetes API until interrupted.

    Pods are simulated: the annotations tidegate.dev/start-seconds, never-ready, stop-seconds, run-seconds and
    checkpoint-seconds on a pod template say how they behave. What it leaves out: see the docstring of
    tidegate.embedded.
    """
    if show_pods and not nodes:
        raise typer.BadParameter("needs --nodes: a pod lies on a machine", param_hint="--show-pods")
    labels = [text.partition("=") for text in node_label or ()]
    if not all(name and equals for name, equals, _ in labels):
        raise typer.BadParameter("must be name=value", param_hint="--node-label")
    from tidegate.embedded.cluster import EmbeddedCluster, NodePool
    from tidegate.embedded.pods import quantity
    from tidegate.embedded.server import Running, serve, write_kubeconfig

    if quantity(node_memory) is None:
        raise typer.BadParameter("must be a quantity such as 128Gi", param_hint="--node-memory")
    pool = NodePool(
        nodes,
        cpu=node_cpu,
        memory=node_memory,
        machine_seconds=machine_seconds,
        labels={name: value for name, _, value in labels},
        show_pods=show_pods,
    )
    cluster = EmbeddedCluster(nodes=pool if nodes else None, creation_rate=creation_rate)
    for path in apply or ():
        _apply(cluster, path)

    def greet(server: Running) -> None:
        if kubeconfig is not None:
            try:
                write_kubeconfig(kubeconfig, server.url)
            except OSError as error:
                raise _failed(
                    f"--kubeconfig: {kubeconfig}: {error.strerror or error}; give a file that may be written"
                ) from error
        typer.echo(f"Kubernetes API (in memory) at {server.url}")
        typer.echo(f"  kubectl --server {server.url} get deployments,hpa -A")

    try:
        serve(port, cluster=cluster, on_start=greet)
    except OSError as error:
        typer.echo(f"cannot listen on port {port}: {error.strerror}", err=True)
        raise typer.Exit(1) from error


def _apply(cluster: EmbeddedCluster, path: Path) -> None:
    """Apply a file's objects, or end with what is wrong with it."""
    from tidegate.cli.manifests import UnreadableError, read_documents
    from tidegate.embedded.errors import ApiError

    try:
        for document in read_documents([path]):
            where = f"--apply: {document.file}: document {document.index}"
            metadata = document.content.get("metadata") if isinstance(document.content, dict) else None
            if not document.kind or not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str):
                raise _failed(f"{where}: is no object; give apiVersion, kind and metadata.name")
            try:
                cluster.apply(document.content, force=True)
            except ApiError as error:
                raise _failed(f"{where}, {document.kind} {document.name}: {error.message}") from error
            except (ValueError, LookupError, TypeError, AttributeError) as error:  # a list where a map should be
                said = f"{type(error).__name__}: {error}"
                raise _failed(
                    f"{where}, {document.kind} {document.name}: is not built as its kind is ({said})"
                ) from error
    except UnreadableError as error:
        raise _failed(f"--apply: {error}") from error


def _failed(words: str) -> typer.Exit:
    typer.echo(words, err=True)
    return typer.Exit(2)
