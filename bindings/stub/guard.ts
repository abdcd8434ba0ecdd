import type { Operation } from "./program.ts";

/** Whether the stub runs an operation, given the registers: guard_holds of stub.c, for `explain`, `--debug` and `--profile`. */
export function guardHolds({ guard }: Operation, registers: ReadonlyMap<number, number>): boolean {
  if (guard === undefined) return true;
  const value = registers.get(guard.on.register) ?? 0;
  switch (guard.is) {
    case "ok":
      return value >= 0;
    case "failed":
      return value < 0;
    case "zero":
      return value === 0;
    case "positive":
      return value > 0;
  }
}
