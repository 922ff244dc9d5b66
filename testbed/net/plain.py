"""`python plain.py FILE NAME LINK`: plain Mininet's own start and stop of a topology; its times as JSON.

What a lab is compared with (`testbed bench labs`), so it has nothing of the testbed in it: a file by itself,
without the package around it. LINK is the name of a class in mininet.link: Link, or TCLink, which shapes
where the kernel can and goes on where it cannot. Must run in namespaces of its own.
"""

from __future__ import annotations

import contextlib
import io
import json
import runpy
import sys
import time


def main(file: str, name: str, kind: str) -> None:
    said = io.StringIO()
    with contextlib.redirect_stderr(said):  # where Mininet's log goes, from its import on
        import mininet.link
        from mininet.log import setLogLevel
        from mininet.net import Mininet

        setLogLevel("error")
        Mininet.inited = True  # or it would raise limits of the whole machine
        topo = runpy.run_path(file)["topos"][name]()
        began = time.perf_counter()
        net = Mininet(topo=topo, controller=None, link=getattr(mininet.link, kind))
        net.start()
        up = time.perf_counter()
        net.stop()
        down = time.perf_counter()
    print(json.dumps({"up": up - began, "down": down - up, "errors": said.getvalue().count("*** Error")}))


if __name__ == "__main__":
    main(*sys.argv[1:])
