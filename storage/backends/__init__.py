"""What one kind of database does in its own way; `storage.engine.Backend` says what each of them must do.

sqlite   one file in the data folder: the default, which needs no server
"""
