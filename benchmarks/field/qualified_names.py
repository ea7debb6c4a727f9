"""The manager of namespaces remembers each address that it has shortened.

Source: RDFLib/rdflib#739
Environment: current
Packages: rdflib
Kind: leaky
Rates: objects 1, blocks 8
Truth: TODO
"""

from rdflib import Graph

graph = Graph()


def step(i):
    return graph.namespace_manager.compute_qname(f"http://example.org/things/item{i}")[2]
