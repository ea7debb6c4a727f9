"""A feed read item by item, all of them still hanging on the root of the document."""

from xml.etree import ElementTree

from _work import pair

root = ElementTree.Element("feed")


def acquire(step, size):
    item = ElementTree.SubElement(root, "item", number=str(step))
    ElementTree.SubElement(item, "title").text = f"title {step}" + "x" * size
    return item


scenario = pair(
    acquire,
    root.remove,
    leaks="heap",
    natural=600,
    workloads=[{"rate": 610.0, "beside": 0.5}, {"rate": 7000.0, "pattern": "100th"}],
)
