/**
 * The picture and the table of docs/speed.md, from the medians in docs/speed.json. `npm run bench -- --svg` measures and writes all
 * three; `node scripts/draw-speed.mjs` draws again from the numbers that are there.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { median, pairedRatio } from "./bench/rounds.mjs";
import { escapeXml, svg } from "./draw-svg.mjs";

const docs = join(import.meta.dirname, "../docs");

/** The figures that are shown, with their name in the table and in the picture. */
const figures = {
  "--version": { name: "`--version`" },
  state: { name: "`state`" },
  run: { name: "`run` of /bin/true" },
  "run, CPU": { name: "CPU time of that", inPicture: false },
  "create+start+delete": { name: "create+start+delete" },
  "create+start+delete, CPU": { name: "CPU time of that", inPicture: false },
  exec: { name: "`exec` of /bin/true" },
  "exec, CPU": { name: "CPU time of that", inPicture: false },
  pause: { name: "`pause`" },
  resume: { name: "`resume`" },
  kill: { name: "`kill`" },
  "run, 8 at once": { name: "eight `run`s at once" },
  "run, 8 at once, CPU": { name: "CPU time of those", inPicture: false },
  "run, 4 workers": { name: "`run`s a second, four at once", unit: "per second" },
  "init PSS": { name: "memory (PSS) of the waiting init", unit: "KiB" },
};

const subjects = ["warm", "cold", "crun", "forky-crun", "runc", "forky-runc"];
const ratios = [
  ["warm", "crun"],
  ["warm", "forky-runc"],
];

/** The part of a measurement that is kept: medians, and medians of the rounds' ratios. */
export function summarize({ samples, versions, rounds, machine: { kernel, processors } }) {
  const shown = Object.keys(figures).filter((figure) => samples[figure]);
  const pick = (of, names) =>
    Object.fromEntries(names.filter(([, has]) => has).map(([name]) => [name, of(name)]));
  return {
    rounds,
    machine: { kernel, processors },
    versions,
    medians: Object.fromEntries(
      shown.map((figure) => [
        figure,
        pick(
          (name) => rounded(median(samples[figure][name])),
          subjects.map((name) => [name, samples[figure][name]]),
        ),
      ]),
    ),
    ratios: Object.fromEntries(
      shown.map((figure) => [
        figure,
        pick(
          (pair) => {
            const [name, base] = pair.split(" / ");
            return rounded(pairedRatio(samples[figure][name], samples[figure][base]).value);
          },
          ratios.map(([name, base]) => [`${name} / ${base}`, samples[figure][name] && samples[figure][base]]),
        ),
      ]),
    ),
  };
}

function rounded(value) {
  return Number(value.toPrecision(4));
}

/** The names of the subjects for a reader: "crun 1.21". */
function labelOf(name, { versions }) {
  return /^(warm|cold)$/.test(name) ? name : (versions[name] ?? name).replace(/^(\S+ \d+\.\d+).*/, "$1");
}

function textOf(figure, value) {
  if (value === undefined) return "";
  if (figures[figure].unit === "per second") return value.toFixed(0);
  if (figures[figure].unit === undefined) return `${value.toFixed(1)} ms`;
  return value < 9800 ? `${value.toFixed(0)} KiB` : `${(value / 1024).toFixed(0)} MiB`;
}

/** The table in Markdown, as the formatter leaves it. */
export function table(speed) {
  const names = subjects.filter((name) => Object.values(speed.medians).some((of) => of[name] !== undefined));
  const pairs = ratios.filter((pair) => pair.every((name) => names.includes(name)));
  const rows = [
    [
      "",
      ...names.map((name) => labelOf(name, speed)),
      ...pairs.map((pair) => pair.map((name) => labelOf(name, speed)).join(" / ")),
    ],
    ...Object.entries(speed.medians).map(([figure, of]) => [
      figures[figure].name,
      ...names.map((name) => textOf(figure, of[name])),
      ...pairs.map((pair) => ratioText(speed.ratios[figure]?.[pair.join(" / ")])),
    ]),
  ];
  const widths = rows[0].map((_, column) => Math.max(3, ...rows.map((row) => row[column].length)));
  const line = (cells) => `| ${cells.map((cell, column) => cell.padEnd(widths[column])).join(" | ")} |`;
  return [line(rows[0]), line(widths.map((width) => "-".repeat(width))), ...rows.slice(1).map(line)].join(
    "\n",
  );
}

function ratioText(value) {
  return value === undefined ? "" : value.toPrecision(value < 0.1 ? 1 : 2);
}

const WIDTH = 900;
const LEFT = 226;
const RIGHT = 70;
const BAR = 12;
const GAP = 12;

const kinds = { warm: "strong-blue", cold: "mid-blue", crun: "strong-orange", runc: "strong-grey" };

/** runts, and of crun and runc the newest that was measured. */
function shownSubjects({ medians }) {
  const has = (name) => Object.values(medians).some((of) => of[name] !== undefined);
  return ["warm", "cold", "crun", "runc"].map((kind) => ({
    kind,
    name: has(`forky-${kind}`) ? `forky-${kind}` : kind,
  }));
}

/** A heading, and a group of bars for each figure, on one scale. */
function drawPanel({ title, of, shown, speed, top }) {
  const most = Math.max(...of.flatMap((figure) => shown.map(({ name }) => speed.medians[figure][name] ?? 0)));
  const scale = (WIDTH - LEFT - RIGHT) / most;
  const body = [`<text class="ink" x="16" y="${top + 16}" font-weight="bold">${escapeXml(title)}</text>`];
  let y = top + 28;
  for (const figure of of) {
    const middle = y + (shown.length * BAR) / 2 + 4;
    const name = figures[figure].name.replaceAll("`", "");
    body.push(`<text class="ink" x="${LEFT - 12}" y="${middle}" text-anchor="end">${escapeXml(name)}</text>`);
    for (const { kind, name: subject } of shown) {
      const value = speed.medians[figure][subject];
      if (value === undefined) continue;
      const width = Math.max(1, Math.round(value * scale));
      body.push(
        `<rect class="${kinds[kind]}" x="${LEFT}" y="${y}" width="${width}" height="${BAR - 2}"/>`,
        `<text class="soft" x="${LEFT + width + 6}" y="${y + 9}" font-size="11">${textOf(figure, value)}</text>`,
      );
      y += BAR;
    }
    y += GAP;
  }
  return { body, bottom: y };
}

export function draw(speed) {
  const shown = shownSubjects(speed);
  const legend = shown.flatMap(({ kind, name }, index) => [
    `<rect class="${kinds[kind]}" x="${LEFT + index * 150}" y="16" width="12" height="12"/>`,
    `<text class="ink" x="${LEFT + index * 150 + 18}" y="27">${kind in { warm: 0, cold: 0 } ? `runts, ${name}` : labelOf(name, speed)}</text>`,
  ]);
  const measured = Object.keys(speed.medians).filter((figure) => figures[figure].inPicture !== false);
  const withUnit = (unit) => measured.filter((figure) => figures[figure].unit === unit);
  const body = [];
  let top = 40;
  for (const [title, of] of [
    ["Time of a command: less is better", withUnit(undefined)],
    ["Throughput: more is better", withUnit("per second")],
    ["Memory: less is better", withUnit("KiB")],
  ]) {
    if (of.length === 0) continue;
    const panel = drawPanel({ title, of, shown, speed, top });
    body.push(...panel.body);
    top = panel.bottom;
  }
  const note = `Medians of ${speed.rounds} rounds taking turns, ${speed.machine.processors} processors. The ratios count, and roughly; milliseconds are this machine's.`;
  return svg({
    width: WIDTH,
    height: top + 24,
    title: `runts beside ${labelOf(shown[2].name, speed)} and ${labelOf(shown[3].name, speed)}`,
    body: [
      ...legend,
      ...body,
      `<text class="soft" x="16" y="${top + 10}" font-size="11">${escapeXml(note)}</text>`,
    ],
  });
}

const BEGIN = "<!-- The table of docs/speed.json: npm run bench -- --svg -->";
const END = "<!-- End of the table. -->";

/** The page with the table of these numbers. */
export function withTable(page, speed) {
  const [begin, end] = [page.indexOf(BEGIN), page.indexOf(END)];
  if (begin < 0 || end < begin)
    throw new Error(`docs/speed.md has no place for the table: ${BEGIN} … ${END}`);
  const { rounds, machine } = speed;
  const heading = `Medians of ${rounds} rounds, on a virtual machine with ${machine.processors} processors:`;
  return `${page.slice(0, begin)}${BEGIN}\n\n${heading}\n\n${table(speed)}\n\n${page.slice(end)}`;
}

export function writeSpeed(speed) {
  const page = join(docs, "speed.md");
  writeFileSync(join(docs, "speed.json"), `${JSON.stringify(speed, null, 2)}\n`);
  writeFileSync(join(docs, "speed.svg"), draw(speed));
  writeFileSync(page, withTable(readFileSync(page, "utf8"), speed));
}

if (process.argv[1] === import.meta.filename)
  writeSpeed(JSON.parse(readFileSync(join(docs, "speed.json"), "utf8")));
