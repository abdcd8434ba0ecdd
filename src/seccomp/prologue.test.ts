import { describe, expect, it } from "vitest";
import { runFilter } from "./bpf-interpreter.ts";
import { assemblePrologue, type NumberTable, PASS, spansOf } from "./prologue.ts";

const ALLOW = 0x7fff0000;
const EPERM = 0x50001;
const ENOSYS = 0x50026;
const REST = 0x7ffc0000;
/** In place of libseccomp's part: `ret #REST`. */
const rest = Uint8Array.of(6, 0, 0, 0, 0, 0, 0xfc, 0x7f);

function table(
  audit: number,
  verdicts: Iterable<readonly [number, number]>,
  newer: NumberTable["newer"] = [],
) {
  return { audit, newer, newerVerdict: ENOSYS, verdicts: new Map(verdicts) };
}

function verdictOf(tables: readonly NumberTable[], arch: number, nr: number): number {
  return runFilter(Uint8Array.of(...assemblePrologue(tables), ...rest), { arch, nr });
}

describe("spansOf", () => {
  it("joins neighbours with the same verdict and leaves gaps to the rest of the filter", () => {
    const newer = [{ first: 7, last: 0xffffffff }];
    const spans = spansOf(
      table(
        1,
        [
          [1, ALLOW],
          [5, EPERM],
          [2, ALLOW],
        ],
        newer,
      ),
    );
    expect(spans).toEqual([
      { first: 0, verdict: PASS },
      { first: 1, verdict: ALLOW },
      { first: 3, verdict: PASS },
      { first: 5, verdict: EPERM },
      { first: 6, verdict: PASS },
      { first: 7, verdict: ENOSYS },
    ]);
  });

  it("gives newer numbers precedence over a verdict", () => {
    expect(spansOf(table(1, [[0, ALLOW]], [{ first: 0, last: 0 }]))).toEqual([
      { first: 0, verdict: ENOSYS },
      { first: 1, verdict: PASS },
    ]);
  });
});

describe("assemblePrologue", () => {
  it("is empty if nothing is decided by number", () => {
    expect(assemblePrologue([table(1, [])])).toHaveLength(0);
  });

  it("decides by number and leaves other architectures to the rest", () => {
    const tables = [table(1, [[3, ALLOW]]), table(2, [[3, EPERM]])];
    expect([2, 3, 4].map((nr) => verdictOf(tables, 1, nr))).toEqual([REST, ALLOW, REST]);
    expect([2, 3, 4].map((nr) => verdictOf(tables, 2, nr))).toEqual([REST, EPERM, REST]);
    expect(verdictOf(tables, 3, 3)).toBe(REST);
  });

  it("works if all numbers have the same verdict", () => {
    const everything = table(1, [], [{ first: 0, last: 0xffffffff }]);
    expect(verdictOf([everything, table(2, [[0, ALLOW]])], 1, 0xffffffff)).toBe(ENOSYS);
  });

  it("works if jumps are longer than a conditional jump can reach", () => {
    const errnoOf = (nr: number) => 0x50000 + (nr % 500);
    const numbers = Array.from({ length: 1500 }, (_, i) => 2 * i);
    const big = (audit: number) =>
      table(
        audit,
        numbers.map((nr) => [nr, errnoOf(nr)] as const),
        [{ first: 5000, last: 0xffffffff }],
      );
    const filter = Uint8Array.of(...assemblePrologue([big(1), big(2)]), ...rest);
    for (const arch of [1, 2]) {
      for (let nr = 0; nr < 3000; nr++) {
        expect(runFilter(filter, { arch, nr })).toBe(nr % 2 === 0 ? errnoOf(nr) : REST);
      }
      expect(runFilter(filter, { arch, nr: 5000 })).toBe(ENOSYS);
    }
    expect(runFilter(filter, { arch: 3, nr: 0 })).toBe(REST);
  });
});
