import { RuntsError } from "../errors.ts";
import type { Host } from "./host.ts";

const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/**
 * The variables of a sandbox: a fixed PATH, its own HOME, and TERM and LANG of the caller, which hold no secrets. All others have to be
 * named. A later one of the same name counts.
 */
export function sandboxEnvironment(given: readonly string[], home: string, host: Host): string[] {
  const variables = new Map([
    ["PATH", PATH],
    ["HOME", home],
  ]);
  for (const name of ["TERM", "LANG"]) {
    const value = host.own(name);
    if (value !== undefined) variables.set(name, value);
  }
  for (const entry of given) {
    const end = entry.indexOf("=");
    const name = end < 0 ? entry : entry.slice(0, end);
    if (name === "" || entry.includes("\0")) throw badVariable(entry, "must be NAME=value or NAME");
    const value = end < 0 ? host.variable(name) : entry.slice(end + 1);
    // The launcher passes on 64 variables and 64 KiB (bindings/launcher/launcher.c).
    if (value === undefined) throw badVariable(entry, "is not set, or too long to pass on: use NAME=value");
    variables.set(name, value);
  }
  return [...variables].map(([name, value]) => `${name}=${value}`);
}

function badVariable(entry: string, reason: string): RuntsError {
  return new RuntsError(`--env ${entry}: ${reason}`, { operation: "sandbox", errno: "EINVAL", path: entry });
}
