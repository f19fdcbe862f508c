"""DICOM as bytes and values: reading what strangers encoded, and the files that we keep of it. No network, no database.

received    an instance on its way in, and what became of it
walker      walks a data set without decoding it            header       what an instance says it is
part10      files around data sets                          values       single elements, of which none can be trusted
frames      one record an image plane, classic or Enhanced  acquisition  how an image was made, of any vendor
rules       a site's tag expressions                        uids, syntaxes, implementation: names of the standard

May not come in: sockets, pynetdicom, storage, and decisions about what to do with a study.
"""
