"""Whole processes, measured from outside: wall time, peak memory; step times from two step counts.

A step's time is the difference of the times of two runs over the difference of their steps, so that
start-up, compilation and the first step's surprises cancel. Peers take turns in every round; a
figure is the median over rounds, a ratio the median of the rounds' ratios."""
import os
import statistics
import subprocess
import tempfile
import time


class Failed(Exception):
    pass


def run(command, env=None):
    """Wall seconds and peak resident bytes of a process."""
    with tempfile.TemporaryFile() as out:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT,
                                   env={**os.environ, **(env or {})})
        _, status, usage = os.wait4(process.pid, 0)
        took = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            out.seek(0)
            raise Failed(" ".join(command) + "\n" + out.read().decode(errors="replace")[-2000:])
    return took, usage.ru_maxrss * 1024


def steps_for(command, seconds):
    """A number of steps that was seen to take 0.6 times so long, and 0.6 times as long as start-up, whose
    noise grows with its length, or more; a hiccup of a few steps would make them look slow."""
    most, n = 1 << 20, 8
    base = max(run(command(1))[0] for _ in range(2))
    seconds = max(seconds, base)
    while True:
        took, _ = run(command(1 + n))
        if took - base > seconds * 0.6 or n >= most:
            return n
        wanted = seconds * n / max(took - base, 1e-6)
        n = int(min(most, 16 * n, max(2 * n, wanted)))


def step_times(contenders, rounds, seconds):
    """contenders: name -> command(steps). Gives name -> {step: [s], peak: bytes, first: [s]}."""
    result = {}
    for name, command in contenders.items():
        try:
            result[name] = {"steps": steps_for(command, seconds), "step": [], "first": [], "peak": 0}
        except Failed as e:
            result[name] = {"error": str(e)}
    for _ in range(rounds):
        for name, command in contenders.items():
            r = result[name]
            if "error" in r:
                continue
            short, peak = run(command(1))
            long, peak_long = run(command(1 + r["steps"]))
            r["step"].append((long - short) / r["steps"])
            r["first"].append(short)
            r["peak"] = max(r["peak"], peak, peak_long)
    return result


def median(values):
    return statistics.median(values)


def ratio(mine, other):
    """How many times faster `mine` is, as the median of the rounds' ratios."""
    return statistics.median(o / m for m, o in zip(mine, other))
