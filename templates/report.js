"use strict";
// Draws the charts of every run from the embedded curves. Each run has one time axis and one cursor for all its charts.
(() => {
  const runs = JSON.parse(document.getElementById("curves").textContent);
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
  const HEIGHT = 190;

  const figure = (value) => {
    const size = Math.abs(value);
    if (size >= 1 || value === 0) return value.toFixed(size >= 100 || value === 0 ? 0 : size >= 10 ? 1 : 2);
    return value.toPrecision(2);
  };
  const time = (ns) => {
    for (const [factor, unit] of [[1e9, "s"], [1e6, "ms"], [1e3, "µs"]]) {
      if (ns >= factor) return figure(ns / factor) + " " + unit;
    }
    return Math.round(ns) + " ns";
  };
  const tick = (value) => String(+value.toPrecision(4));
  const tickTime = (ns) => time(ns).replace(/\.0+ /, " ");
  const wholePower = (value) => Math.abs(Math.log10(value) - Math.round(Math.log10(value))) < 1e-9;
  const or = (format) => (_, value) => (value == null ? "-" : format(value));
  const mib = (value) => figure(value) + " MiB";
  const mibPerS = (value) => figure(value) + " MiB/s";
  const percent = (value) => figure(value) + " %";

  // Every curve: label, colour, where its points are, how a value reads; `steps` holds a value until the next one.
  const KINDS = {
    rate: {
      curves: [
        { label: "asked", colour: "asked", of: ["guest", "asked_mib_per_s"], say: mibPerS, dash: [6, 4] },
        { label: "done", colour: "done", of: ["guest", "done_mib_per_s"], say: mibPerS },
      ],
      axis: tick, floor: 0,
    },
    latency: {
      curves: [
        { label: "service p99", colour: "service", of: ["guest", "service_p99_ns"], say: time },
        { label: "response p99", colour: "response", of: ["guest", "response_p99_ns"], say: time },
      ],
      axis: tickTime, log: true,
    },
    lost: {
      curves: [
        { label: "gap share (guest)", colour: "gap", of: ["guest", "gap_percent"], say: percent, fill: true },
        { label: "throttle (QEMU)", colour: "throttle", of: ["qemu", "throttle_percent"], say: percent, steps: true, dash: [8, 4], width: 2.4 },
      ],
      axis: tick, floor: 0, ceiling: 100,
    },
    copying: {
      curves: [
        { label: "still to send", colour: "remaining", of: ["qemu", "remaining_mib"], say: mib, fill: true },
        { label: "dirty rate", colour: "dirty", of: ["qemu", "dirty_mib_per_s"], say: mibPerS, right: true },
      ],
      axis: tick, floor: 0,
    },
  };

  // One table of x and all curves. A null is a hole in a curve; a point that only the other curve has is none.
  const table = (run, kind) => {
    const single = (curve) => {
      const at = run[curve.of[0]].at_s;
      const values = run[curve.of[0]][curve.of[1]].map((value) => (kind.log && !(value > 0) ? null : value));
      return [at.concat(extent(run)), values.concat([undefined, undefined])];
    };
    const sorted = ([at, values]) => {
      const order = at.map((_, index) => index).sort((one, other) => at[one] - at[other]);
      const kept = order.filter((index, place) => place === 0 || at[index] > at[order[place - 1]]);
      return [kept.map((index) => at[index]), kept.map((index) => values[index])];
    };
    return uPlot.join(kind.curves.map((curve) => sorted(single(curve))));
  };

  const extent = (run) => {
    const ends = run.phases.flatMap((phase) => [phase.start_s, phase.end_s]);
    const all = ends.length ? ends : run.guest.at_s.concat(run.qemu.at_s);
    return [all.reduce((one, other) => Math.min(one, other)), all.reduce((one, other) => Math.max(one, other))];
  };

  // Stages as bands behind the curves, with their names where they fit. A blackout is drawn however short it is.
  const bands = (run) => (chart) => {
    const { ctx, bbox } = chart;
    const scale = devicePixelRatio;
    const clamp = (x) => Math.min(Math.max(x, bbox.left), bbox.left + bbox.width);
    ctx.save();
    ctx.font = `${11 * scale}px system-ui, sans-serif`;
    ctx.textBaseline = "top";
    for (const phase of run.phases) {
      const left = clamp(chart.valToPos(phase.start_s, "x", true));
      const right = clamp(chart.valToPos(phase.end_s, "x", true));
      const width = Math.max(right - left, phase.name === "blackout" ? 2 * scale : 0);
      ctx.fillStyle = colour(phase.name);
      ctx.fillRect(left, bbox.top, width, bbox.height);
      if (ctx.measureText(phase.name).width + 10 * scale < width) {
        ctx.fillStyle = colour("soft");
        ctx.fillText(phase.name, left + 5 * scale, bbox.top + 4 * scale);
      }
    }
    ctx.restore();
  };

  const series = (curve, kind) => ({
    label: curve.label,
    stroke: colour(curve.colour),
    fill: curve.fill ? colour(curve.colour) + "2e" : undefined,
    width: curve.width ?? 1.6,
    dash: curve.dash,
    scale: curve.right ? "right" : "y",
    paths: curve.steps ? uPlot.paths.stepped({ align: 1 }) : undefined,
    points: { show: false },
    value: or(curve.say),
  });

  const yAxis = (kind, right, size) => ({
    scale: right ? "right" : "y",
    side: right ? 1 : 3,
    size,
    stroke: colour("soft"),
    grid: { show: !right, stroke: colour("grid"), width: 1, ...(kind.log && { filter: powers }) },
    ticks: { show: false },
    ...(kind.log && { filter: everyPower }),
    values: (_, splits) => splits.map((value) => (value == null ? "" : kind.axis(value))),
  });

  // On a logarithmic axis only whole powers of ten have a line, and every second a name where they stand close.
  const powers = (_, splits) => splits.map((value) => (wholePower(value) ? value : null));
  const everyPower = (_, splits) => {
    const shown = splits.filter(wholePower);
    const step = Math.ceil(shown.length / 6);
    return splits.map((value) => (wholePower(value) && shown.indexOf(value) % step === 0 ? value : null));
  };

  const options = (run, index, kind, width) => {
    const range = (_, low, high) => {
      if (low == null) return [0, 1];
      return [kind.floor ?? low, kind.ceiling ?? (high > (kind.floor ?? low) ? high * 1.12 : (kind.floor ?? low) + 1)];
    };
    const linear = { range };
    const right = kind.curves.some((curve) => curve.right);
    const side = width < 600 ? 48 : 62;
    const xAxis = {
      size: 28, stroke: colour("soft"), grid: { stroke: colour("grid"), width: 1 }, ticks: { show: false },
      values: (_, splits) => splits.map((value) => tick(value) + " s"),
    };
    return {
      width, height: HEIGHT,
      scales: { x: { time: false }, y: kind.log ? { distr: 3 } : linear, right: linear },
      series: [{ label: "time", value: or((value) => value.toFixed(2) + " s") }].concat(kind.curves.map((curve) => series(curve, kind))),
      axes: [xAxis, yAxis(kind, false, side)].concat(right ? [yAxis(kind, true, side)] : []),
      padding: [12, right ? 0 : side, 0, 0],
      cursor: { sync: { key: "run-" + index }, points: { size: 7 }, drag: { x: true, y: false } },
      hooks: { drawClear: [bands(run)], draw: [finished] },
    };
  };

  // How many charts were drawn to their end: tests look for it.
  const finished = (chart) => {
    chart.root.dataset.drawn = "true";
    document.documentElement.dataset.charts = String(document.querySelectorAll("[data-drawn]").length);
  };

  let drawn = [];
  const draw = () => {
    drawn.forEach(({ chart }) => chart.destroy());
    drawn = [...document.querySelectorAll(".chart")].map((place) => {
      const index = Number(place.dataset.run);
      const kind = KINDS[place.dataset.kind];
      const width = place.clientWidth;
      const chart = new uPlot(options(runs[index], index, kind, width), table(runs[index], kind), place);
      return { place, chart };
    });
  };
  draw();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  let waiting = 0;
  addEventListener("resize", () => {
    cancelAnimationFrame(waiting);
    waiting = requestAnimationFrame(() => {
      drawn.forEach(({ place, chart }) => chart.setSize({ width: place.clientWidth, height: HEIGHT }));
    });
  });
})();
