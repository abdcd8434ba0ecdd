/** Turns the kernel's numbers into names, from the constants of this folder. */

type Constants = Readonly<Record<string, unknown>>;
type Named = readonly (readonly [name: string, value: bigint])[];

/** Constants of a module whose names begin with one of the prefixes. */
function named(module: Constants, prefixes: readonly string[], except: readonly string[]): Named {
  const found = Object.entries(module).flatMap(([name, value]) => {
    const fits = prefixes.some((prefix) => name.startsWith(prefix)) && !except.includes(name);
    if (!fits || (typeof value !== "number" && typeof value !== "bigint")) return [];
    return [[name, BigInt(value)] as const];
  });
  // Sorted, since bundlers and test runners differ in the order of a module's exports.
  return found.sort(([, one], [, other]) => (one < other ? -1 : one > other ? 1 : 0));
}

export type ToName = (value: number | bigint) => string;

/** Names for a field with one of several values; any other number stays a number. */
export function oneOf(module: Constants, prefix: string, except: readonly string[] = []): ToName {
  const names = named(module, [prefix], except);
  return (value) => names.find(([, known]) => known === BigInt(value))?.[0] ?? String(value);
}

export interface FlagsOptions {
  readonly except?: readonly string[];
  /** Name of an empty set; by default "0". */
  readonly none?: string;
}

/** Names for a set of flags. Flags of several bits are tried first, so that O_SYNC is not taken for O_DSYNC. */
export function flagsOf(
  module: Constants,
  prefixes: readonly string[],
  { except = [], none = "0" }: FlagsOptions = {},
): ToName {
  const names = named(module, prefixes, except)
    .filter(([, value]) => value > 0n)
    .sort(([, one], [, other]) => bits(other) - bits(one));
  return (value) => {
    let rest = BigInt(value);
    const found: string[] = [];
    for (const [name, flag] of names) {
      if ((rest & flag) !== flag) continue;
      found.push(name);
      rest &= ~flag;
    }
    if (rest !== 0n) found.push(`0x${BigInt.asUintN(64, rest).toString(16)}`);
    return found.length === 0 ? none : found.join("|");
  };
}

function bits(value: bigint): number {
  return value.toString(2).replaceAll("0", "").length;
}
