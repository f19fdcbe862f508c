"""Whether a bundle may take charge: it was commissioned here, or somebody says why it goes without."""

from pathlib import Path

from model.manifest import Manifest
from node import charge
from node.charge import ModelAt
from node.config import Settings
from node.errors import Permanent
from node.trial import signing
from storage import DataFolder


class NotCommissioned(Permanent):
    """Nothing speaks for this bundle: no report that this node has signed, or it is not the one that it was."""


def grounds(folder: DataFolder, bundle: ModelAt) -> str:
    """The commissioning report that speaks for it, relative to the data folder. Raises NotCommissioned."""
    found = signing.newest(folder, bundle.sha256)
    if found is None:
        raise NotCommissioned(
            f"{bundle.folder}: no commissioning report on this bundle (sha256 {bundle.sha256[:16]}…) is here: "
            f"`neurossl model commission --bundle {bundle.folder} --labels TABLE` makes one, and "
            "`--without-commissioning REASON` goes without"
        )
    return str(found.relative_to(folder.root))


def in_charge(settings: Settings) -> ModelAt:
    """The bundle in charge. Raises NotCommissioned when there is none, BundleError when it cannot be read."""
    bundle = charge.serving(settings).worker.bundle
    if bundle is None:
        raise NotCommissioned("worker.bundle: is not set; there is no bundle in charge whose place another could take")
    return at(bundle)


def before(settings: Settings) -> ModelAt:
    """The bundle that was in charge before the last promotion. Raises NotCommissioned, BundleError."""
    newest = charge.newest_of(settings)
    if newest is None:
        raise NotCommissioned("nothing was promoted in place of worker.bundle: there is nothing to go back from")
    found = at(Path(newest.before))
    if found.sha256 != newest.before_sha256:
        raise NotCommissioned(f"{found.folder}: is not the bundle that was in charge before, but another one")
    return found


def at(folder: Path) -> ModelAt:
    """A bundle by its manifest. Raises BundleError."""
    return ModelAt(folder.resolve(), Manifest.read(folder / "manifest.json").model_id.sha256)
