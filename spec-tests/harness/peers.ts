import { appendFileSync } from "node:fs";
import { basename } from "node:path";
import { beforeAll } from "vitest";
import { compareVersions, versionOf } from "./runtime-version.ts";

/** A known difference of a peer from what a test requires, and why the test is right all the same. */
export interface Deviation {
  readonly reason: string;
  /** A race: the test fails under the peer only now and then. */
  readonly sometimes?: true;
  /** First version that differs, as in 1.28. */
  readonly from?: string;
  /** First version that no longer differs. */
  readonly before?: string;
}

type OneOrMore = string | Deviation | readonly (string | Deviation)[];

/**
 * How the peers differ. A string is the reason, and means every version and every run; of several deviations, the first that concerns
 * the version under test counts.
 */
export interface Deviations {
  readonly crun?: OneOrMore;
  readonly runc?: OneOrMore;
  readonly both?: OneOrMore;
}

/** Deviations of some of the tests that a loop makes. */
export interface CaseDeviations extends Deviations {
  /** The parts of the titles by which the tests differ. */
  readonly cases: readonly (string | number)[];
}

/**
 * Deviations for tests that a loop makes: the result looks up those of one case. A case that the loop never looks up fails the file,
 * since there is no such test.
 */
export function byCase(...groups: readonly CaseDeviations[]): (name: string | number) => Deviations {
  const entries = groups.flatMap(({ cases, ...deviations }) =>
    cases.map((name) => [`${name}`, deviations] as const),
  );
  const names = entries.map(([name]) => name);
  const twice = names.filter((name, index) => names.indexOf(name) < index);
  if (twice.length > 0) throw new Error(`a case has two deviations: ${twice.join(" | ")}`);
  const known = new Map(entries);
  const unused = new Set(names);
  tables += 1;
  const table = `${process.pid}-${tables}`;
  note({ table, cases: [...unused] });
  beforeAll(() => {
    if (unused.size > 0) throw new Error(`deviations of tests that do not exist: ${[...unused].join(" | ")}`);
  });
  return (name) => {
    note({ table, used: `${name}` });
    unused.delete(`${name}`);
    return known.get(`${name}`) ?? {};
  };
}

let tables = 0;

/** The deviation of the runtime at `path`, if its version has one. */
export function deviationOf(path: string, deviations: Deviations): Deviation | undefined {
  const peer = basename(path);
  if (peer !== "crun" && peer !== "runc") return undefined;
  return deviationsOf(peer, deviations).find((deviation) => concerns(deviation, path));
}

function deviationsOf(peer: "crun" | "runc", deviations: Deviations): Deviation[] {
  return [deviations[peer], deviations.both]
    .flatMap((known) => known ?? [])
    .map((known) => (typeof known === "string" ? { reason: known } : known));
}

function concerns({ from, before }: Deviation, path: string): boolean {
  if (from === undefined && before === undefined) return true;
  const version = versionOf(path);
  const isOld = from !== undefined && compareVersions(version, from) < 0;
  return !isOld && (before === undefined || compareVersions(version, before) < 0);
}

/** Tells completeness/peers.test.ts of a test and its deviations. */
export function noteDeviations(title: string, deviations: Deviations): void {
  note({ title, crun: deviationsOf("crun", deviations), runc: deviationsOf("runc", deviations) });
}

/** Appends a line to the file that completeness/peers.test.ts names when it lists the tests. */
function note(line: object): void {
  const file = process.env.SPEC_TESTS_DEVIATIONS;
  if (file !== undefined) appendFileSync(file, `${JSON.stringify(line)}\n`);
}
