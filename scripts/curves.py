"""Medians of what scripts/bench-curves measured, as a table in Markdown and as charts: curves.py ROWS SVG."""

import collections
import math
import statistics
import sys

WIDTH, HEIGHT, MARGIN = 360, 240, 50
SERIES = [("rate", "answered a second, closed loop"), ("p99.9", "p99.9 in us, open loop at 100,000/s")]


def read(path):
    """Values by axis and place on it: rates, medians and percentiles of each run."""
    points = collections.defaultdict(lambda: collections.defaultdict(list))
    for line in open(path):
        axis, wallets, sockets, *values = line.rstrip("\n").split("\t")
        points[axis][int(wallets if axis == "wallets" else sockets)].append([float(value) for value in values])
    return points


def spread(values, unit=""):
    middle = statistics.median(values)
    return f"{middle:,.0f}{unit} [{min(values):,.0f}..{max(values):,.0f}]"


def table(points):
    for axis, places in points.items():
        print(f"| {axis} | rate | p50 | p99.9 |\n|---|---|---|---|")
        for place, runs in sorted(places.items()):
            rate, p50, tail = zip(*runs)
            print(f"| {place:,} | {spread(rate, '/s')} | {spread(p50, ' us')} | {spread(tail, ' us')} |")
        print()


def chart(left, top, title, axis, values):
    """One curve over a logarithmic axis, with a bar from the lowest to the highest run at every place."""
    places = sorted(values)
    highest = max(max(runs) for runs in values.values())
    step = 10 ** math.floor(math.log10(highest))
    ceiling = math.ceil(highest / step) * step
    low, high = math.log10(places[0]), math.log10(places[-1])
    x = lambda place: left + MARGIN + (math.log10(place) - low) / max(high - low, 1e-9) * (WIDTH - 2 * MARGIN)
    y = lambda value: top + HEIGHT - MARGIN - value / ceiling * (HEIGHT - 2 * MARGIN)
    text = lambda at, level, words, anchor: f'<text x="{at:.0f}" y="{level:.0f}" text-anchor="{anchor}">{words}</text>'
    out = [text(left + WIDTH / 2, top + 24, title, "middle"), text(left + WIDTH / 2, top + HEIGHT - 12, axis, "middle")]
    for part in range(5):
        level = ceiling * part / 4
        out.append(f'<line x1="{left + MARGIN}" x2="{left + WIDTH - MARGIN}" y1="{y(level):.1f}" y2="{y(level):.1f}" class="g"/>')
        out.append(text(left + MARGIN - 4, y(level) + 4, f"{level:,.0f}", "end"))
    for place in places:
        runs = values[place]
        out.append(f'<line x1="{x(place):.1f}" x2="{x(place):.1f}" y1="{y(min(runs)):.1f}" y2="{y(max(runs)):.1f}" class="c"/>')
        out.append(text(x(place), top + HEIGHT - MARGIN + 16, f"{place:,}", "middle"))
    line = " ".join(f"{x(place):.1f},{y(statistics.median(values[place])):.1f}" for place in places)
    return out + [f'<polyline points="{line}" class="c"/>']


def main(rows, svg):
    points = read(rows)
    table(points)
    out = []
    for column, (axis, places) in enumerate(points.items()):
        for row, (_, title) in enumerate(SERIES):
            values = {place: [run[0 if row == 0 else 2] for run in runs] for place, runs in places.items()}
            out += chart(column * WIDTH, row * HEIGHT, title, axis, values)
    style = "text{font:11px sans-serif}.g{stroke:#ddd}.c{stroke:#06c;stroke-width:2;fill:none}"
    size = f'width="{WIDTH * len(points)}" height="{HEIGHT * len(SERIES)}"'
    with open(svg, "w") as file:
        file.write(f'<svg xmlns="http://www.w3.org/2000/svg" {size}><style>{style}</style>')
        file.write('<rect width="100%" height="100%" fill="white"/>' + "\n".join(out) + "</svg>\n")


main(*sys.argv[1:])
