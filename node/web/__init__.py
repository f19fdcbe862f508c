"""What the node is doing, in the browser: pages that work without JavaScript, and are live with it.

server     the process: socket, sign of life        app       the application: what is served under which address
site       what every page stands on                guard     which requests come in, and what every answer says
visitor    who asks, and what they may do           forms     what is posted, and from a page of ours
api        the same for machines                       problem   what they hear when something is not possible
view       templates and the words of the pages     live      server-sent events: parts of a page that have changed
pages/     one module a page                        templates/, static/   ours alone: nothing is fetched from elsewhere

    /            to the queue           /queue          the jobs              /jobs/17       one study
    /peers       who sends and gets     /health         disk, processes …     /statistics    per day, per scanner

The facts are those of `observe`, and changes are made by its actions. May not come in: torch, pydicom's data sets,
a patient's name. The listener and the office never import this room.
"""
