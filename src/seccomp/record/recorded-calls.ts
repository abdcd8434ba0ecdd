import type { Libseccomp } from "../../../bindings/linux/libseccomp.ts";
import { architectures, SCMP_ARCH_X32, X32_SYSCALL_BIT } from "../constants.ts";
import type { CallRecord } from "./call-record.ts";
import { MAX_VALUES, WATCHED_ARGUMENTS } from "./watched-arguments.ts";

/** Recorded calls by their names, as a profile has them. */
export interface RecordedCalls {
  /** SCMP_ARCH_*, the machine's own first. */
  readonly architectures: readonly string[];
  /** The calls that were made, but for those in `values`. */
  readonly names: ReadonlySet<string>;
  /** Values of the watched argument, by name. */
  readonly values: ReadonlyMap<string, ReadonlySet<bigint>>;
}

/** Names recorded calls. `warn` gets what a profile can't say. */
export function nameCalls(
  record: CallRecord,
  library: Libseccomp,
  warn: (message: string) => void,
): RecordedCalls {
  const native = library.nativeArch();
  const names = new Set<string>();
  const watched = new Map<string, number>();
  const unnamed: string[] = [];
  const archs = [native, ...record.architectures.filter((arch) => arch !== native)];
  for (const arch of archs) {
    for (const number of record.numbersOf(arch)) {
      const name = library.syscallName(arch, arch === SCMP_ARCH_X32 ? number | X32_SYSCALL_BIT : number);
      if (name === undefined) unnamed.push(`number ${number} of ${architectureName(arch)}`);
      else if (arch === native && Object.hasOwn(WATCHED_ARGUMENTS, name)) watched.set(name, number);
      else names.add(name);
    }
  }
  if (record.hasOtherNumbers) unnamed.push("numbers that no system call has");
  if (unnamed.length > 0)
    warn(`no name is known for some calls, which the profile denies: ${unnamed.join(", ")}`);
  const values = new Map<string, ReadonlySet<bigint>>();
  const all: string[] = [];
  for (const [name, number] of watched) {
    const known = record.valuesOf(number);
    // A rule for all architectures has to let the 32-bit calls of this name pass, whose arguments are not recorded.
    if (names.has(name)) continue;
    if (known !== undefined && known.length > 0 && known.length <= MAX_VALUES)
      values.set(name, new Set(known));
    else all.push(name);
  }
  if (all.length > 0)
    warn(
      `the profile allows ${all.join(", ")} with all arguments: the container has passed too many different ones`,
    );
  return { architectures: archs.map(architectureName), names: new Set([...names, ...all]), values };
}

function architectureName(token: number): string {
  return Object.entries(architectures).find(([, value]) => value === token)?.[0] ?? "";
}
