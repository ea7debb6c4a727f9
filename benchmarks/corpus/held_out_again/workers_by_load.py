"""Workers that are as many as the load of the hour asks for, which comes and goes."""

import queue
import threading

from _work import benign

orders, gone, workers = queue.SimpleQueue(), queue.SimpleQueue(), set()


def work():
    while orders.get() is not None:
        pass
    gone.put(threading.current_thread())


def step(number, run):
    phase = abs(number % run.params.wave - run.params.wave // 2) / (run.params.wave / 2)
    wanted = 2 + round(run.params.most * (1 - phase)) + run.rng.randrange(3)
    while len(workers) < wanted:
        worker = threading.Thread(target=work, daemon=True)
        worker.start()
        workers.add(worker)
    while len(workers) > wanted:
        orders.put(None)
        worker = gone.get()
        worker.join()
        workers.remove(worker)
    orders.put(number)


scenario = benign(step, wave=30, most=10, workloads=[{}, {"wave": 16, "most": 25}])
