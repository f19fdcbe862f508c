"""`neurossl demo`: one study through the real node, on this machine alone.

    study ─► C-STORE ─► node (listener, worker, office: `neurossl serve`) ─► C-STORE ─► a folder that plays the PACS

Everything runs as in service, on free loopback ports and in one folder: `folder` lays it out, `pacs` receives,
`service` starts and stops the node, `run` does the steps, `follow` says how far the node is, `reading` and `montage`
show what came back. `template` makes the default study.
"""

from node.demo.folder import DemoFolder, demo_folder
from node.demo.run import DemoRun, run

__all__ = ["DemoFolder", "DemoRun", "demo_folder", "run"]
