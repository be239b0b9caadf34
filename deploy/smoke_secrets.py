"""Checks that no secret is where others may look: settings of containers, layers of images, logs."""

import os
from pathlib import Path

from stack import compose, docker, expect


def check_secrets(key: str) -> None:
    """Check that neither the files of the folder of secrets nor the API key are shown by Docker."""
    folder = Path(os.environ.get("FORECASTLE_SECRETS") or "secrets")
    secrets = {file.name: file.read_text().strip() for file in sorted(folder.iterdir())} | {"API key": key}
    containers = compose("ps", "--all", "--quiet").split()
    images = {docker("inspect", "--format", "{{.Image}}", container) for container in containers}
    shown = {
        "settings of containers": docker("inspect", *containers),
        "settings of images": docker("image", "inspect", *images),
        "layers of images": "".join(docker("history", "--no-trunc", image) for image in images),
        "logs": compose("logs", "--no-color"),
    }
    found = [(name, place) for name, value in secrets.items() for place, text in shown.items() if value in text]
    expect(not found, f"no secret ({', '.join(secrets)}) is in the {', '.join(shown)}", found)
