"""Run by a Python that has Ray: a cluster of machines that are processes of this one.

`machines.py COUNT` starts it, one CPU each, and prints its address; for each line that it reads it kills a machine, and
when there are no more lines it stops the rest.
"""

from __future__ import annotations

import os
import sys

START = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_raylet_start_wait_time_s": "120",
}


def main(count: int) -> None:
    """Be the cluster."""
    from ray.cluster_utils import Cluster

    options = {"num_cpus": 1, "object_store_memory": 100 << 20}
    machines = Cluster(initialize_head=True, head_node_args=options | {"include_dashboard": False})
    try:
        nodes = [machines.add_node(**options) for _ in range(count - 1)]
        machines.wait_for_nodes(timeout=120)
        print(machines.address, flush=True)
        for _ in sys.stdin:
            machines.remove_node(nodes.pop(), allow_graceful=False)
            print("killed", flush=True)
    finally:
        machines.shutdown()


if __name__ == "__main__":
    os.environ.update(START)
    main(int(sys.argv[1]))
