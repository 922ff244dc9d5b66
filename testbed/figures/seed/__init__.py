"""The slides of "Making Multipath TCP robust for stateless webservers", drawn from packets that were sent.

One file a slide, with one function: section(Material) -> Section. Which campaigns and measurements each slide
needs is said in testbed/reproduce/seed.py.
"""
