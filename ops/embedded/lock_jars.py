"""Write ``kafka.lock.json``: ``python -m ops.embedded.lock_jars``, run by ``make lock``.

Kafka and its logging binding are resolved separately. Together, the binding's managed versions win and select an older
kafka-clients, which does not fit the broker.
"""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import asdict
from pathlib import Path

import orjson
from jgo.maven import Artifact, MavenContext

from ops.embedded.jars import LOCK, Jar

KAFKA = "org.apache.kafka:kafka_2.13:4.3.1"
BINDING = "org.apache.logging.log4j:log4j-slf4j-impl:2.25.4"
SCOPES = ("compile", "runtime")


def main() -> None:
    """Resolve, download, hash, and write the list beside this module."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        jars = sorted((_jar(root, artifact) for artifact in _artifacts(root)), key=lambda jar: jar.name)
    content = {"endpoints": [KAFKA, BINDING], "jars": [asdict(jar) for jar in jars]}
    text = orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    Path(__file__).with_name(LOCK).write_bytes(text)


def _artifacts(root: Path) -> list[Artifact]:
    """Return the runtime artifacts of Kafka, and the binding alone: Kafka's include the binding's dependencies."""
    context = MavenContext(repo_cache=root)
    return [*_resolved(context, KAFKA), _resolved(context, BINDING)[0]]


def _resolved(context: MavenContext, endpoint: str) -> list[Artifact]:
    """Return the endpoint's own artifact first, then its runtime dependencies."""
    wanted, needed = context.resolver.resolve([context.create_dependency(endpoint)])
    running = [dependency for dependency in needed if dependency.scope in SCOPES]
    return [dependency.artifact for dependency in [*wanted, *running]]


def _jar(root: Path, artifact: Artifact) -> Jar:
    path = artifact.resolve()
    content = path.read_bytes()
    place = path.relative_to(root).as_posix()
    return Jar(path.name, place, artifact.version, len(content), hashlib.sha256(content).hexdigest())


if __name__ == "__main__":
    main()
