/**
 * Draws src/architecture.svg from the imports of the sources: `node scripts/draw-architecture.mjs`. A layer is a folder (or file)
 * of src and bindings; it stands below all that import it. An import that follows from others is left out. Dashed lines are imports on
 * demand.
 */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { svg } from "./draw-svg.mjs";

const root = join(import.meta.dirname, "..");
const file = join(root, "src/architecture.svg");

/** The purpose of each folder in a few words; a folder without them is an error. */
const PURPOSES = {
  "src/main": "argv to exit code",
  "src/cli": "commands, options, output",
  "src/library": "import … from runts",
  "src/explain": "the steps of create, simulated",
  "src/warm": "usual commands before a freeze",
  "src/freeze": "the engine's memory as an image",
  "src/doctor": "host and container examined",
  "src/inspect": "kernel features, container view",
  "src/debug": "steps in the log",
  "src/profile": "times as a trace",
  "src/report": "HTML pages of containers and bundles",
  "src/validate": "all errors of a bundle, at once",
  "src/sandbox": "a command isolated, as a config",
  "src/container": "the operations, the saved state",
  "src/criu": "checkpoint and restore",
  "src/init": "carries plans out, by the stub",
  "src/cgroup": "cgroup v2, limits, systemd",
  "src/resctrl": "Intel RDT",
  "src/seccomp": "filters",
  "src/plan": "from the config to operations",
  "src/spec": "config.json: types and rules",
  "src/errors": "the one error class",
  "src/log": "diagnostics",
  "src/version": "versions",
  "bindings/stub": "pid 1 of a container until execve",
  "bindings/linux": "files, sockets, mounts, libs",
  "bindings/ffi": "koffi: system calls",
  "bindings/abi": "the kernel's numbers and layouts",
  "bindings/launcher": "the executable dist/runts",
  "bindings/cxx-runtime": "the part of C++ that koffi needs",
  "bindings/syscall-error": "a failed call",
};

const importPattern =
  /^(?:import|export)\b(?! type)[^;"'`]*?\bfrom\s*"([^"]+)"|^import\s*"([^"]+)"|\bimport\(\s*"([^"]+)"/gm;

function layerOf(path) {
  const [top, name, ...rest] = path.split("/");
  return `${top}/${rest.length > 0 ? name : name.replace(/\..*$/, "")}`;
}

/** Layers, and between which of them there are imports: the picture changes when these do, not with every line of code. */
function readLayers() {
  const layers = new Set();
  const edges = new Map();
  for (const top of ["src", "bindings"]) {
    for (const entry of readdirSync(join(root, top), { recursive: true, withFileTypes: true })) {
      const path = relative(root, join(entry.parentPath, entry.name));
      if (!entry.isFile() || !/\.[jt]s$|\.c$/.test(path) || /\.(test|test-support|d)\.ts$/.test(path))
        continue;
      const text = readFileSync(join(root, path), "utf8");
      const layer = layerOf(path);
      layers.add(layer);
      for (const match of text.matchAll(importPattern)) {
        const specifier = match[1] ?? match[2] ?? match[3];
        if (!specifier.startsWith(".")) continue;
        const target = layerOf(join(dirname(path), specifier));
        if (target === layer) continue;
        const edge = edges.get(`${layer} ${target}`) ?? { from: layer, to: target, onDemand: true };
        edge.onDemand &&= match[3] !== undefined;
        edges.set(`${layer} ${target}`, edge);
      }
    }
  }
  return { layers, edges: [...edges.values()].sort((a, b) => (a.from + a.to < b.from + b.to ? -1 : 1)) };
}

/** The longest way from a layer that nobody imports. */
function rowsOf({ layers, edges }) {
  const rank = new Map([...layers].map((layer) => [layer, 0]));
  for (let changed = true; changed; ) {
    changed = false;
    for (const { from, to } of edges) {
      if (rank.get(to) > rank.get(from)) continue;
      rank.set(to, rank.get(from) + 1);
      changed = true;
    }
  }
  const rows = [];
  for (const [layer, row] of [...rank].sort(([a], [b]) => (a < b ? -1 : 1))) {
    rows[row] ??= [];
    rows[row].push(layer);
  }
  return rows.filter(Boolean);
}

/** The edges that are no short cut. */
function reduced(edges) {
  const next = new Map();
  for (const { from, to } of edges) next.set(from, [...(next.get(from) ?? []), to]);
  const reaches = (from, to) => from === to || (next.get(from) ?? []).some((each) => reaches(each, to));
  return edges.filter(
    ({ from, to }) => !(next.get(from) ?? []).some((other) => other !== to && reaches(other, to)),
  );
}

const WIDTH = 1640;
const BOX = { width: 216, height: 44 };
const ROW = 92;

export function draw() {
  const graph = readLayers();
  const rows = rowsOf(graph);
  const place = new Map();
  rows.forEach((row, index) => {
    const gap = (WIDTH - row.length * BOX.width) / (row.length + 1);
    row.forEach((layer, column) => {
      place.set(layer, { x: Math.round(gap + column * (BOX.width + gap)), y: 16 + index * ROW });
    });
  });
  const lines = reduced(graph.edges).map(({ from, to, onDemand }) => {
    const [a, b] = [place.get(from), place.get(to)];
    const dashed = onDemand ? ' stroke-dasharray="4 4"' : "";
    const middle = BOX.width / 2;
    return `<line x1="${a.x + middle}" y1="${a.y + BOX.height}" x2="${b.x + middle}" y2="${b.y}"${dashed}/>`;
  });
  const boxes = [...place].map(([layer, { x, y }]) => {
    const purpose = PURPOSES[layer];
    if (purpose === undefined)
      throw new Error(`scripts/draw-architecture.mjs does not say what ${layer} is for`);
    const color = layer.startsWith("src/") ? "blue" : "orange";
    return [
      `<rect class="${color}" x="${x}" y="${y}" width="${BOX.width}" height="${BOX.height}" rx="6"/>`,
      `<text class="ink" x="${x + 10}" y="${y + 18}" font-weight="bold">${layer}</text>`,
      `<text class="ink" x="${x + 10}" y="${y + 34}" font-size="12">${purpose}</text>`,
    ].join("\n");
  });
  const height = 16 + rows.length * ROW;
  const legend =
    "Blue: src. Orange: bindings. A line: the upper one imports the lower one. Dashed: on demand only. A line that follows from others is left out.";
  return svg({
    width: WIDTH,
    height,
    title: "The layers of runts, from the imports of its sources",
    body: [
      '<g class="rule" stroke-width="1.5" fill="none">',
      ...lines,
      "</g>",
      ...boxes,
      `<text class="soft" x="16" y="${height - 14}">${legend}</text>`,
    ],
  });
}

if (process.argv[1] === import.meta.filename) writeFileSync(file, draw());
