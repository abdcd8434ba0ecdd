import type { Operation } from "./program.ts";

/** Whether the stub runs an operation, by what the registers hold: for those who tell of a program what it does, as stub.c does it. */
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
