"""Write the digest of each image beside its tag (``make pin``): a tag may be moved, a digest may not.

Docker asks the registry for the digest of all platforms of an image. Files change only if every image was found.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from ops.errors import OperationError
from ops.failures import report
from ops.settings import child_environment

IMAGE = re.compile(
    r"^(?P<before>\s*image: |FROM )(?P<name>[\w./-]+:[\w.-]+)(?:@sha256:[0-9a-f]{64})?(?=\s|$)", re.MULTILINE
)
OWN = "headrace:"
"""The image that is built here, which no registry has."""

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
PATIENCE_S = 60.0
DOCKERS = ("DOCKER_CONFIG", "DOCKER_CONTEXT", "DOCKER_HOST", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
"""The variables that the docker command reads."""


def pinned(text: str, digests: dict[str, str]) -> str:
    """Return *text* with the digest of each image that has one in *digests*."""

    def with_digest(found: re.Match[str]) -> str:
        digest = digests.get(found["name"])
        return found[0] if digest is None else f"{found['before']}{found['name']}@{digest}"

    return IMAGE.sub(with_digest, text)


def images(text: str) -> set[str]:
    """Return the images that *text* names and a registry has."""
    return {found["name"] for found in IMAGE.finditer(text) if not found["name"].startswith(OWN)}


def digest_of(image: str) -> str:
    """Return the digest of *image*. Raises OperationError if Docker is missing or cannot say it."""
    docker = shutil.which("docker")
    if docker is None:
        raise OperationError("docker is not installed, and it finds the digests: run `make pin` where Docker is")
    command = [docker, "buildx", "imagetools", "inspect", "--format", "{{.Manifest.Digest}}", image]
    try:
        done = subprocess.run(
            command, env=child_environment(*DOCKERS), capture_output=True, text=True, check=False, timeout=PATIENCE_S
        )
    except subprocess.TimeoutExpired:
        raise OperationError(
            f"docker did not find {image} within {PATIENCE_S:g} s: is its registry in reach?"
        ) from None
    digest = done.stdout.strip()
    if done.returncode or not DIGEST.fullmatch(digest):
        said = (done.stderr.strip() or digest or "it said nothing").splitlines()[0]
        raise OperationError(f"docker cannot tell the digest of {image} ({said}): run `make pin` where Docker is")
    return digest


def pin(files: Sequence[Path]) -> int:
    """Write the digests into *files*, and return the number of images."""
    texts = {file: file.read_text(encoding="utf-8") for file in files}
    digests = {image: digest_of(image) for image in sorted(set().union(*map(images, texts.values())))}
    for file, text in texts.items():
        file.write_text(pinned(text, digests), encoding="utf-8")
    return len(digests)


def main(arguments: list[str]) -> int:
    """Pin the files named in *arguments*, and return the exit status."""
    try:
        count = pin([Path(name) for name in arguments])
    except OperationError as error:
        return report(error, debug=False)
    sys.stdout.write(f"{count} images have their digest in {', '.join(arguments)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
