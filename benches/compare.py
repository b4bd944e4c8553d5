#!/usr/bin/env python3
"""Two programs' training steps, by turns, and the ratio of their times.

usage: compare.py STEPS OURS... -- THEIRS...

Both programs hold their model in memory and make a step for each line on their stdin, one at a time, so that both see
the machine in the same state. The first step of each is not counted: it allocates. Besides the seconds on the wall the
processor's seconds are compared, which other work on the machine disturbs less. Prints a table in Markdown.
"""
import json
import os
import platform
import statistics
import subprocess
import sys


class Side:
    def __init__(self, command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self.about = self.read()
        self.steps = []

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"{self.process.args[0]} ended with {self.process.wait()}")
        return json.loads(line)

    def processor_seconds(self):
        # Fields 14 and 15 of stat, counted after the name in parentheses.
        fields = open(f"/proc/{self.process.pid}/stat").read().rpartition(")")[2].split()
        return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")

    def step(self):
        before = self.processor_seconds()
        self.process.stdin.write("\n")
        step = self.read()
        self.steps.append({**step, "processor": self.processor_seconds() - before})

    def median(self, key):
        return statistics.median(self.values(key))

    def values(self, key):
        return [step[key] for step in self.steps[1:]]

    def row(self):
        values = self.values("seconds")
        spread = f"{min(values):.2f} to {max(values):.2f}"
        peak = self.steps[-1]["peak_bytes"] / 2**30
        return f"| {self.about['name']} | {self.median('seconds'):.2f} | {spread} | {self.median('processor'):.2f} | {peak:.2f} |"


def model_name():
    names = [line for line in open("/proc/cpuinfo") if line.startswith("model name")]
    return names[0].partition(":")[2].strip() if names else platform.machine()


def main():
    steps, arguments = int(sys.argv[1]), sys.argv[2:]
    split = arguments.index("--")
    ours, theirs = Side(arguments[:split]), Side(arguments[split + 1 :])
    if (ours.about["learnable"], ours.about["threads"]) != (theirs.about["learnable"], theirs.about["threads"]):
        sys.exit(f"not the same model or threads: {ours.about} and {theirs.about}")
    for number in range(steps + 1):
        # Whoever comes first finds the caches of the other: by turns.
        for side in (ours, theirs) if number % 2 else (theirs, ours):
            side.step()
        pair = ", ".join(f"{side.steps[-1]['seconds']:.2f} s ({side.steps[-1]['processor']:.2f} s of CPU)" for side in (ours, theirs))
        print(f"step {number}: {pair}", file=sys.stderr, flush=True)
    load = os.getloadavg()[0]
    print(f"{model_name()}, {ours.about['threads']} threads, {ours.about['learnable']} learnable, {steps} steps each, load {load:.1f} at the end\n")
    print("| | median, s | least to most | CPU median, s | peak, GiB |\n| --- | --- | --- | --- | --- |")
    print(ours.row())
    print(theirs.row())
    ratios = sorted(a / b for a, b in zip(ours.values("seconds"), theirs.values("seconds")))
    wall, processor = (ours.median(key) / theirs.median(key) for key in ("seconds", "processor"))
    print(f"\nratio of medians {wall:.3f}, of CPU medians {processor:.3f}; of neighbouring steps {ratios[0]:.3f} to {ratios[-1]:.3f}")


if __name__ == "__main__":
    main()
