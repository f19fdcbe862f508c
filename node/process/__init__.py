"""What every process of the node does for itself: end with its parent, show that it lives, take its role.

hardening  private files, no core dumps, clean stops, restart delays
heartbeat  a sign of life in the data folder, written and read
spawn      a child process, its pipe and its end
role       lock, sign of life and database of one process, taken together

May not come in: anything about DICOM.
"""
