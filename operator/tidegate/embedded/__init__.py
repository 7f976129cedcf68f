"""An in-memory Kubernetes API over HTTP, with workloads that behave: for the demo, the tests and the benchmarks.

kubectl, kopf and the kubernetes clients work against it. Served are discovery, OpenAPI, lists in pages, watches with
bookmarks and 410, the four kinds of patch, server-side apply with field owners, ``/status`` and ``/scale``, dry runs,
finalizers, and custom resources with structural schemas (defaults, pruning, validation). Controllers move Deployments,
StatefulSets, ReplicaSets, HPAs, Jobs and nodes in the time of a clock that the caller gives.

What is left out, on purpose:

* answers in protobuf, and most of it in requests: what the ``kubectl create`` commands send is read
  (see ``protobuf``), anything else is told so with 415; manifests (``kubectl apply -f``, ``create -f``) come as JSON;
* authentication, authorisation, TLS, admission webhooks and policies: whoever reaches the port may do everything;
* CEL rules of CRDs are kept and not evaluated; patterns are read as Python's;
* built-in kinds have no schema: only what ``admission`` names is defaulted or checked, unknown fields are kept, and
  OpenAPI describes them as maps; OpenAPI comes as JSON, never as protobuf;
* ``autoscaling/v1`` (so ``kubectl autoscale`` of 1.32), ``events.k8s.io`` and other second doors to the same objects;
  conversion between versions of a CRD beyond the ``apiVersion``; aggregated discovery; ``PartialObjectMetadataList``;
* a CRD is established in the moment it is created;
* Pods and the ReplicaSets of a Deployment: pods are counts with a start time (see ``pods`` for the annotations). With
  ``NodePool.show_pods`` there is a Pod object for each, on a Node (see ``podobjects`` and ``podphysics``); those
  ReplicaSets, taints, affinity, eviction and preemption are left out all the same. No rollouts, no ``minReadySeconds``,
  no ordered StatefulSets, no progress deadline; no pod ever fails. Pods that clients create, DaemonSets, CronJobs,
  PodDisruptionBudgets and quotas are kept and do nothing;
* HPAs read their first metric only, from a hook (see ``autoscalers``); controllers post no Events;
* garbage collection by owner references, and the wait for a namespace's finalizers of its own;
* ``resourceVersion`` of a list is always "now": older versions cannot be read, only watched from;
* the ``Date`` header is the machine's time; stamps in objects are the cluster's clock.

``server`` starts it, ``cluster`` is the Python door.
"""
