"""``make bench-serving``: one network behind our server and behind its peers, under the same load.

``alone`` is what ours does by itself. In ``rounds`` everybody is started in turn, each on the first core with the load
on the second, and asked the same by ``load``; what ``ours`` and ``many`` measure, only ours is asked. ``report`` makes
rows of the medians.
"""
