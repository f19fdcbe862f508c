"""Who may do what, for every door that speaks HTTP: the pages, and DICOMweb.

visitor    a name and a role          users      who may log in, in a file of the data folder
passwords  checked, slowly for whoever guesses    proxies    what a reverse proxy says of a request

May not come in: a web framework, and what is behind the doors.
"""
