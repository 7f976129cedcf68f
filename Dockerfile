# The operator and the command line in one image: docker build -t tidegate:0.1.0 .
#
# Reproducible with both stages pinned: --build-arg PYTHON=python:3.13-slim@sha256:...
ARG PYTHON=python:3.13-slim

FROM ${PYTHON} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY operator operator
COPY policies/scaling policies/scaling
# A wheel by hatchling, then into an environment of its own with the versions that the tests ran with. Everything that it
# stands on comes as wheels: no compiler. Byte code is written here, for nothing can be written there.
RUN pip wheel --no-deps --wheel-dir /dist . \
 && python -m venv /opt/tidegate \
 && /opt/tidegate/bin/pip install --constraint constraints.txt /dist/tidegate-*.whl \
 && /opt/tidegate/bin/pip uninstall --yes pip

FROM ${PYTHON}
# MALLOC_ARENA_MAX: glibc makes an arena for each thread, and keeps it; two are enough for a process with two threads.
# HOME, LOGNAME: the user is a number without an entry in /etc/passwd, and neither the Kubernetes client nor kopf starts
# without knowing home and name. Any other number will do as well.
ENV PATH=/opt/tidegate/bin:$PATH HOME=/ LOGNAME=tidegate \
    PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 MALLOC_ARENA_MAX=2
COPY --from=build /opt/tidegate /opt/tidegate
# A number, not a name: runAsNonRoot can be checked only of numbers.
USER 10001:10001
# /healthz and /readyz, /metrics. No HEALTHCHECK: Kubernetes does not look at it, the chart's probes ask /healthz.
EXPOSE 8080 8081
# By module, never by file. Arguments: --all-namespaces, or --namespace=NAME with TIDEGATE_NAMESPACES=NAME.
# The command line is in it too: docker run --entrypoint tidegate tidegate:0.1.0 plan ...
ENTRYPOINT ["kopf", "run", "--module=tidegate.shell.app", "--standalone"]
CMD ["--all-namespaces", "--log-format=json"]
