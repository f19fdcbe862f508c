"""Who wrote a file or holds an association, for the other side to know (PS3.7 D.3.3.2)."""

import uuid
from importlib.metadata import version

IMPLEMENTATION_CLASS_UID = f"2.25.{uuid.uuid5(uuid.NAMESPACE_DNS, 'neurossl-node').int}"
IMPLEMENTATION_VERSION_NAME = f"NEUROSSL_{version('neurossl-node').replace('.', '')}"[:16]
PRODUCT = "NeuroSSL Node"  # the ManufacturerModelName of everything that any node of ours makes, however it is called
