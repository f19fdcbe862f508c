"""`python -m node` is `neurossl`."""

from node.cli import main

main()
