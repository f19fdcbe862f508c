"""A bundle on trial at a site: what it says of stored studies, what its numbers are worth here, and how it takes over.

    answering      a bundle's answer on a stored study, or on a folder of DICOM, as the service would work it out
    replay         answers that stand, beside those of another bundle or other rules; shadow does so for ever
    comparison     totals, kappa, limits of agreement, and which studies to look at
    labels         the table of a site's own labels, and whose study is whose
    commissioning  a bundle against these labels: numbers with intervals, by scanner, field strength, age and sex
    precision      intervals, and how many cases an interval of a given width needs
    signing        a report is signed with the node's key, and its signature is checked
    promotion      puts a bundle in charge that was commissioned; what it replaces stays for the way back
    pictures, page what people look at

Nothing here sends anything, and nothing here changes a study, a job, an answer or a delivery.
"""
