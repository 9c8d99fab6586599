# The image of every stage and every command: the wheel and its locked dependencies, without a compiler or a shell user.
# `make pin` writes the digest of the base image where Docker is.

FROM python:3.13.16-slim-bookworm AS build

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 UV_NO_CACHE=1
WORKDIR /src

# The dependencies change less often than the code: they are a layer of their own.
COPY requirements/uv.txt requirements/uv.txt
RUN python -m pip install --no-deps --only-binary :all: --require-hashes --requirement requirements/uv.txt \
    && python -m venv --without-pip /opt/headrace
COPY pyproject.toml requirements.lock ./
RUN uv pip install --python /opt/headrace/bin/python --compile-bytecode \
    --constraints requirements.lock --requirement pyproject.toml

COPY README.md LICENSE ./
COPY headrace headrace
COPY schemas schemas
COPY producers producers
COPY consumers consumers
COPY streams streams
COPY ops ops
RUN uv pip install --python /opt/headrace/bin/python --compile-bytecode --no-deps \
    --build-constraints requirements.lock .

FROM python:3.13.16-slim-bookworm

# A number, so that an orchestrator can check that it is not root.
RUN groupadd --system --gid 10001 headrace \
    && useradd --system --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin headrace
COPY --from=build /opt/headrace /opt/headrace

ENV PATH=/opt/headrace/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# Modules of agents are looked for in the working directory.
WORKDIR /agents
USER 10001:10001
STOPSIGNAL SIGTERM
ENTRYPOINT ["headrace"]
CMD ["--help"]
