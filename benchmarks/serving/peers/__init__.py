"""The other servers of ``make bench-serving``, one module each: the same network behind each of them.

They run in ``.venv-peers-serving`` (see ``benchmarks/peers-serving.txt``), started as
``python -m benchmarks.serving.peers.NAME MODEL PORT``; ``MODEL`` is the network's ONNX file, or for MLflow its folder.
All listen on loopback only, with one worker, one thread for the network, and no log of requests.
"""
