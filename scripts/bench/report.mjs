/** Prints the figures as tables in Markdown, and writes them as JSON. */
import { mkdirSync, writeFileSync } from "node:fs";
import { availableParallelism, loadavg, release } from "node:os";
import { dirname } from "node:path";
import { unitOf } from "./aims.mjs";
import { median, pairedRatio } from "./rounds.mjs";

/** Ratios that are shown of each figure, where both have been measured. */
const ratios = [
  ["warm", "crun"],
  ["cold", "crun"],
  ["warm", "runc"],
  ["warm", "forky-crun"],
  ["warm", "forky-runc"],
  ["warm", "empty"],
];

/** `labels` has the heading of a subject by its name. */
export function printReport(samples, labels) {
  const names = Object.keys(labels).filter((name) => Object.values(samples).some((of) => of[name]));
  const figures = Object.entries(samples);
  printTable([
    ["medians", "", ...names.map((name) => labels[name])],
    ...figures.map(([figure, of]) => [
      figure,
      unitOf(figure),
      ...names.map((name) => (of[name] ? text(median(of[name])) : "")),
    ]),
  ]);
  const shown = ratios.filter((pair) => pair.every((name) => names.includes(name)));
  printTable([
    ["medians of the rounds' ratios", ...shown.map((pair) => pair.map((name) => labels[name]).join(" / "))],
    ...figures.map(([figure, of]) => [
      figure,
      ...shown.map(([name, base]) =>
        of[name] && of[base] ? textOfRatio(pairedRatio(of[name], of[base]).value) : "",
      ),
    ]),
  ]);
}

function text(value) {
  return value < 100 ? value.toFixed(2) : value.toFixed(0);
}

/** Empty if there was nothing to compare with. */
function textOfRatio(value) {
  return Number.isFinite(value) ? value.toPrecision(3) : "";
}

function printTable(rows) {
  const widths = rows[0].map((_, column) => Math.max(3, ...rows.map((row) => row[column].length)));
  const line = (cells) => `| ${cells.map((cell, column) => cell.padEnd(widths[column])).join(" | ")} |`;
  const [heading, ...rest] = rows;
  const rule = widths.map((width) => "-".repeat(width));
  process.stdout.write(`\n${[heading, rule, ...rest].map(line).join("\n")}\n`);
}

export function printAims(judged) {
  if (judged.length === 0) return;
  process.stdout.write("\naims for runts as it is installed:\n");
  for (const { figure, unit, value, low, high, met, ...aim } of judged) {
    const spread = low === undefined ? "" : ` (half of the rounds: ${low.toFixed(2)} to ${high.toFixed(2)})`;
    process.stdout.write(
      `${met ? "met   " : "missed"} ${figure}: ${value.toFixed(2)} ${unit}${spread}, ${bound(aim)}\n`,
    );
  }
}

function bound({ atMost, below, atLeast }) {
  if (atMost !== undefined) return `at most ${atMost}`;
  return below !== undefined ? `below ${below}` : `at least ${atLeast}`;
}

export function machine() {
  return {
    kernel: release(),
    processors: availableParallelism(),
    load: loadavg()[0],
    node: process.version,
  };
}

export function writeReport(path, content) {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, `${JSON.stringify(content, null, 2)}\n`);
  process.stdout.write(`\nwritten to ${path}\n`);
}
