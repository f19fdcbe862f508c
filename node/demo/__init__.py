"""`neurossl demo`: one study through the real node, on this machine alone.

    study ─► C-STORE ─► node (listener, worker, office: `neurossl serve`) ─► C-STORE ─► a folder that plays the PACS

Everything runs as in service, on free loopback ports and in one folder: `home` lays it out, `pacs` receives, `service`
starts and stops the node, `walk` does the steps, `follow` says how far the node is, `reading` and `montage` show what
came back. `template` makes the default study.
"""

from node.demo.home import Home, home_folder
from node.demo.walk import Walk, walk

__all__ = ["Home", "Walk", "home_folder", "walk"]
