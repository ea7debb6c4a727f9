"""Helpers that are started every ten steps, and ended and waited for some steps later."""

import subprocess

from _work import benign

helpers = []


def end(those):
    for _, helper in those:
        helper.stdin.close()
        helper.wait()


def step(number, run):
    if number % 10 == 0:
        helper = subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        helpers.append((number + run.rng.randrange(1, run.params.most), helper))
    end([one for one in helpers if one[0] <= number])
    helpers[:] = [one for one in helpers if one[0] > number]


scenario = benign(
    step, close=lambda _: end(helpers), most=15, workloads=[{"most": 15}, {"most": 60}]
)
