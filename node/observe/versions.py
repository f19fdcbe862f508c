"""The version of the node and of what it stands on; nothing of it is loaded for that."""

import importlib.metadata
import platform

PACKAGES = ("pydicom", "pynetdicom", "highdicom", "torch", "openvino", "numpy", "sqlalchemy")


def versions() -> dict[str, str]:
    """Of the node and of what it stands on."""
    found = {"neurossl-node": importlib.metadata.version("neurossl-node"), "python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found
