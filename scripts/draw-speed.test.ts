import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { Speed } from "./draw-speed.d.mts";
import { draw, summarize, table, withTable } from "./draw-speed.mjs";

const docs = join(import.meta.dirname, "../docs");
const read = (name: string): string => readFileSync(join(docs, name), "utf8");

const measured = {
  rounds: 3,
  machine: { kernel: "6.12", processors: 2 },
  versions: { crun: "crun 1.21", runc: "runc 1.1.15", "forky-runc": "runc 1.3.6" },
  samples: {
    run: {
      warm: [9, 10, 30],
      cold: [20, 20, 20],
      crun: [5, 5, 10],
      runc: [40, 40, 40],
      "forky-runc": [20, 25, 30],
    },
    "exec, output to end": { warm: [1, 1, 1] },
    "init PSS": { warm: [20], crun: [700], runc: [9000], "forky-runc": [10240] },
  },
};

describe("the committed numbers", () => {
  const speed: Speed = JSON.parse(read("speed.json"));

  test("docs/speed.svg is what scripts/draw-speed.mjs draws of docs/speed.json", () => {
    expect(read("speed.svg") === draw(speed), 'run "node scripts/draw-speed.mjs"').toBe(true);
  });

  test("docs/speed.md has their table", () => {
    expect(read("speed.md")).toBe(withTable(read("speed.md"), speed));
  });
});

describe("the claims of the documents", () => {
  const { medians }: Speed = JSON.parse(read("speed.json"));
  const commands = Object.entries(medians).filter(([figure]) => !/workers|PSS/.test(figure));
  const compared = commands.map(([figure, { warm = NaN, ...others }]) => ({ figure, warm, others }));

  test("warm, runts is faster than runc and slower than crun (README.md, docs/speed.md)", () => {
    expect(compared.length).toBeGreaterThan(5);
    for (const { figure, warm, others } of compared) {
      expect(warm, figure).toBeLessThan(Math.min(others.runc ?? NaN, others["forky-runc"] ?? NaN));
      expect(warm, figure).toBeGreaterThan(Math.max(others.crun ?? NaN, others["forky-crun"] ?? NaN));
    }
  });

  test("the waiting init meets its aim of 64 KiB (docs/speed.md)", () => {
    expect(medians["init PSS"]?.warm).toBeLessThanOrEqual(64);
  });
});

describe("summarize", () => {
  test("medians, and medians of the rounds' ratios, of the figures that are shown", () => {
    const { medians, ratios } = summarize(measured);
    expect(medians.run).toEqual({ warm: 10, cold: 20, crun: 5, runc: 40, "forky-runc": 25 });
    expect(ratios.run).toEqual({ "warm / crun": 2, "warm / forky-runc": 0.45 });
    expect(Object.keys(medians)).toEqual(["run", "init PSS"]);
  });
});

describe("table", () => {
  test("a column for each runtime that was measured, a row for each figure", () => {
    expect(
      table(summarize(measured))
        .split("\n")
        .map((line) => line.split("|").map((cell) => cell.trim())),
    ).toEqual([
      [
        "",
        "",
        "warm",
        "cold",
        "crun 1.21",
        "runc 1.1",
        "runc 1.3",
        "warm / crun 1.21",
        "warm / runc 1.3",
        "",
      ],
      expect.anything(),
      ["", "`run` of /bin/true", "10.0 ms", "20.0 ms", "5.0 ms", "40.0 ms", "25.0 ms", "2.0", "0.45", ""],
      [
        "",
        "memory (PSS) of the waiting init",
        "20 KiB",
        "",
        "700 KiB",
        "9000 KiB",
        "10 MiB",
        "0.03",
        "0.002",
        "",
      ],
    ]);
  });
});

describe("draw", () => {
  const picture = draw(summarize(measured));

  test("the bars of a figure are on one scale, with the newest of each peer", () => {
    const widths = [
      ...picture.matchAll(/<rect class="(?:strong|mid)-\S+" x="226" y="\d+" width="(\d+)" height="10"/g),
    ];
    const run = widths.slice(0, 4).map(([, width]) => Number(width));
    expect(run).toEqual([10, 20, 5, 25].map((ms) => Math.round((ms / 25) * Math.max(...run))));
    expect(picture).toContain(">crun 1.21<");
    expect(picture).toContain(">runc 1.3<");
    expect(picture).not.toContain("runc 1.1");
  });

  test("has colours for light and for dark pages", () => {
    expect(picture).toMatch(
      /\.paper\{fill:#ffffff\}.*@media\(prefers-color-scheme:dark\)\{.*\.paper\{fill:#0d1117\}/,
    );
  });
});
