"""A worker for each tenant that stays when the tenant has gone."""

import queue
import threading

from _work import pair


def work(orders, answers):
    while (order := orders.get()) is not None:
        answers.put(order + 1)


def acquire(step, _size):
    orders, answers = queue.SimpleQueue(), queue.SimpleQueue()
    worker = threading.Thread(target=work, args=(orders, answers), daemon=True)
    worker.start()
    orders.put(step)
    answers.get()
    return orders, worker


def release(tenant):
    orders, worker = tenant
    orders.put(None)
    worker.join()


scenario = pair(
    acquire,
    release,
    leaks="threads",
    units=lambda _: {"threads": 1},
    workloads=[{"pattern": "stairs"}, {"pattern": "100th"}, {"noise": 100_000}],
)
