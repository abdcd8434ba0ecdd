/**
 * Draws docs/lifecycle.svg from the table below: `node scripts/draw-lifecycle.mjs`. The picture shows which process does what, and in
 * which order, from `create` to `delete`.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { escapeXml, svg } from "./draw-svg.mjs";

const file = join(import.meta.dirname, "../docs/lifecycle.svg");

const actors = {
  engine: { x: 96, name: "container engine", about: "or a shell, or your program" },
  runts: { x: 340, name: "runts", about: "one process for each command" },
  stub: { x: 580, name: "stub", about: "3 KB of machine code" },
  init: { x: 800, name: "init", about: "clone of the stub, pid 1" },
};

/**
 * The steps, from top to bottom. `from` and `to`: a message, or a process that makes another one. `at`: work of one process. `code`
 * is the file of the source to read; a test looks whether it exists.
 */
export const steps = [
  { phase: "create" },
  { from: "engine", to: "runts", text: "runts create --bundle DIR ID", mono: true, begins: "runts" },
  { at: "runts", text: "read and check config.json: all errors at once", code: "src/spec/config.ts" },
  {
    at: "runts",
    text: "lock the container and write its record: from here on, delete --force finds all",
    code: "src/container/record/saved-state.ts",
  },
  { at: "runts", text: "make the cgroup", code: "src/container/create/cgroup.ts" },
  {
    from: "runts",
    to: "stub",
    text: "execute the stub; send programs",
    code: "src/init/spawn-process.ts",
    begins: "stub",
  },
  { at: "stub", left: true, text: "time namespace; join by path" },
  {
    from: "stub",
    to: "init",
    text: "clone3: namespaces, cgroup",
    code: "src/init/clone-by-stub.ts",
    begins: "init",
  },
  {
    at: "runts",
    text: "meanwhile: limits, without systemd",
    code: "src/cgroup/limits/apply.ts",
  },
  { from: "stub", to: "runts", text: "pid of the clone; the stub ends", ends: "stub" },
  { from: "init", to: "runts", text: "ready: believed only from that pid, and if that is a child of runts" },
  {
    at: "runts",
    text: "write id mappings and oom_score_adj; with systemd: scope and limits",
    code: "src/init/id-mappings.ts, src/container/create.ts",
  },
  {
    from: "runts",
    to: "init",
    text: "program: cgroup namespace, mounts, devices, terminal",
    code: "src/init/set-up.ts, src/plan",
  },
  {
    from: "init",
    to: "runts",
    text: "results; or the operation that failed, with its errno",
    code: "bindings/stub/reply.ts",
  },
  {
    at: "runts",
    text: "hooks: prestart, createRuntime, createContainer",
    code: "src/container/hooks/create-hooks.ts",
  },
  {
    from: "runts",
    to: "init",
    text: "program: sysctls, host name, masks, pivot_root, user, capabilities",
    code: "src/init/set-up.ts, src/init/prepare-process.ts",
  },
  { from: "runts", to: "init", text: "last program: wait for start, load the filter, execve" },
  { from: "init", to: "runts", text: "closes its channel: it waits now" },
  { at: "runts", text: "write that the container is created", code: "src/container/create.ts" },
  { from: "runts", to: "engine", text: "exit code 0; init stays", ends: "runts" },
  { phase: "start" },
  { from: "engine", to: "runts", text: "runts start ID", mono: true, begins: "runts" },
  {
    at: "runts",
    text: "startContainer hooks, in the container",
    code: "src/container/hooks/start-hooks.ts",
  },
  {
    from: "runts",
    to: "init",
    text: "connect to the socket that init waits on",
    code: "src/container/start.ts",
  },
  {
    at: "init",
    left: true,
    text: "limits, filter, execve: init becomes the container's program",
    becomes: "program",
  },
  {
    from: "init",
    to: "runts",
    text: "execve closes the connection; or what failed, with its errno",
  },
  { at: "runts", text: "poststart hooks" },
  { from: "runts", to: "engine", text: "exit code 0", ends: "runts" },
  { phase: "the end" },
  {
    from: "init",
    to: "engine",
    text: "ends; the container engine, its subreaper, gets the exit code by wait(2)",
    ends: "init",
  },
  { from: "engine", to: "runts", text: "runts delete ID", mono: true, begins: "runts" },
  {
    at: "runts",
    text: "kill what is left, remove the cgroup and the record; poststop hooks",
    code: "src/container/delete.ts",
  },
  { from: "runts", to: "engine", text: "exit code 0", ends: "runts" },
];

const WIDTH = 900;
const TOP = 68;
/** Heights of a step, of the line below it that names a file, and of a heading. */
const HEIGHT = { step: 30, code: 16, phase: 36 };
const BAR = 10;

/** Bars of processes that run, each with its first and its last line. */
function barsOf(rows, bottom) {
  const running = new Map([["engine", { actor: "engine", from: TOP - 4, kind: "grey" }]]);
  const bars = [];
  const end = (actor, to) => {
    const bar = running.get(actor);
    if (bar) bars.push({ ...bar, to });
    running.delete(actor);
  };
  for (const { y, begins, becomes, ends } of rows) {
    if (begins) running.set(begins, { actor: begins, from: y, kind: begins === "runts" ? "blue" : "orange" });
    if (becomes) {
      end("init", y);
      running.set("init", { actor: "init", from: y, kind: "green" });
    }
    if (ends) end(ends, y);
  }
  for (const actor of [...running.keys()]) end(actor, bottom);
  return bars;
}

function label({ x, y, text, mono, anchor }, soft = false) {
  const font = mono ? ' font-family="monospace" font-size="12"' : soft ? ' font-size="11"' : "";
  const align = anchor === undefined ? "" : ` text-anchor="${anchor}"`;
  return `<text class="${soft ? "soft" : "ink"}" x="${x}" y="${y}"${font}${align}>${escapeXml(text)}</text>`;
}

function drawMessage({ from, to, text, mono, code, y }) {
  const [a, b] = [actors[from].x, actors[to].x];
  const right = b > a;
  const [start, tip] = right ? [a + BAR / 2, b - BAR / 2] : [a - BAR / 2, b + BAR / 2];
  const back = right ? tip - 8 : tip + 8;
  const left = Math.min(start, tip) + 10;
  return [
    `<line class="rule" x1="${start}" y1="${y}" x2="${back}" y2="${y}" stroke-width="1.5"/>`,
    `<path class="soft" d="M${tip} ${y}L${back} ${y - 4}V${y + 4}Z"/>`,
    label({ x: left, y: y - 6, text, mono }),
    ...(code ? [label({ x: left, y: y + 14, text: code }, true)] : []),
  ];
}

function drawWork({ at, left, text, code, y }) {
  const { x } = actors[at];
  const side = left ? { x: x - 16, anchor: "end" } : { x: x + 16 };
  return [
    `<circle class="soft" cx="${x}" cy="${y - 4}" r="3"/>`,
    label({ ...side, y, text }),
    ...(code ? [label({ ...side, y: y + 15, text: code }, true)] : []),
  ];
}

function drawPhase({ phase, y }) {
  return [
    `<line class="grid" x1="16" y1="${y - 26}" x2="${WIDTH - 16}" y2="${y - 26}"/>`,
    `<text class="ink" x="16" y="${y - 10}" font-size="14" font-weight="bold">${escapeXml(phase)}</text>`,
  ];
}

function drawHead({ x, name, about }, kind) {
  const width = 180;
  return [
    `<rect class="${kind}" x="${x - width / 2}" y="16" width="${width}" height="42" rx="6"/>`,
    `<text class="ink" x="${x}" y="34" text-anchor="middle" font-weight="bold">${escapeXml(name)}</text>`,
    `<text class="ink" x="${x}" y="50" text-anchor="middle" font-size="11">${escapeXml(about)}</text>`,
  ];
}

export function draw() {
  let y = TOP;
  const rows = steps.map((step) => {
    y += step.phase ? HEIGHT.phase : HEIGHT.step;
    const row = { ...step, y };
    if (step.code) y += HEIGHT.code;
    return row;
  });
  const bottom = y + 20;
  const kinds = { engine: "grey", runts: "blue", stub: "orange", init: "orange" };
  const bars = barsOf(rows, bottom).map(
    ({ actor, from, to, kind }) =>
      `<rect class="${kind} rule" x="${actors[actor].x - BAR / 2}" y="${from}" width="${BAR}" height="${to - from}"/>`,
  );
  return svg({
    width: WIDTH,
    height: bottom + 16,
    title: "How a container comes to be: container engine, runts, stub and init, from create to delete",
    body: [
      ...Object.entries(actors).flatMap(([name, actor]) => drawHead(actor, kinds[name])),
      ...rows.filter(({ phase }) => phase).flatMap(drawPhase),
      ...bars,
      ...rows.flatMap((row) => (row.phase ? [] : row.at ? drawWork(row) : drawMessage(row))),
    ],
  });
}

if (process.argv[1] === import.meta.filename) writeFileSync(file, draw());
