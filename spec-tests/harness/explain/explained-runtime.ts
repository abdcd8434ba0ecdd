import type { Explained } from "./explained.ts";
import { routeChange } from "./rtnetlink.ts";
import type { TracedCall } from "./strace.ts";

/** Calls of the runtime that change something outside of it, and so are explained. The engine makes none of them on its own. */
const CHANGING = new Set([
  "mkdirat",
  "unlinkat",
  "renameat2",
  "fchmodat",
  "fchownat",
  "bind",
  "listen",
  "connect",
  "bpf",
  "mount_setattr",
  "open_tree",
  "kill",
]);

/** The call of an operation that is a part of the D-Bus call before it. */
const UNIT_PROPERTY = "property";

/** Compares the runtime's operations with its traced calls. Throws at the first difference; returns how many it has compared. */
export function compareRuntime(operations: readonly Explained[], calls: readonly TracedCall[]): number {
  const announced = operations
    .filter(({ by, call }) => by === "runtime" && call !== UNIT_PROPERTY)
    .map(announcedLine);
  const done = doneLines(calls);
  for (const [index, line] of announced.entries()) {
    if (!new RegExp(`^${line}$`, "s").test(done[index] ?? ""))
      throw new Error(`runtime, operation ${index + 1}:\n  announced ${line}\n  done      ${done[index]}`);
  }
  if (done.length > announced.length)
    throw new Error(`the runtime has done without announcing it: ${done.slice(announced.length).join("\n")}`);
  return announced.length;
}

/** strace(1) may show the name of a host's interface for the same index in the container, to which later requests refer. */
const ANY_INDEX = '(?:\\d+|if_nametoindex\\("[^"]+"\\))';

/** Calls whose first argument is a descriptor's number, which differs from run to run. */
const BY_DESCRIPTOR = new Set(["write", "bind", "connect", "listen", "sendto"]);

/** A pattern for the traced call, in which a stand-in matches anything. */
function announcedLine({ call, args }: Explained): string {
  if (call === "posix_spawn") return "posix_spawn";
  if (call.startsWith("sd_bus_open_")) return 'connect .*/\\w*bus\\w*".*';
  if (call.includes(".")) return `sendmsg ${call.slice(call.lastIndexOf(".") + 1)}`;
  if (call === "bpf") return `bpf ${args[0]} .*${/insn_cnt=\d+/.exec(args[1] ?? "")?.[0] ?? ""}.*`;
  const shown = BY_DESCRIPTOR.has(call) ? args.slice(1) : args;
  const pattern = [call, ...shown].join(" ").replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  return sortedFlags(pattern.replaceAll("\\|", "|"))
    .replaceAll("|", "\\|")
    .replace(/<pid of [^>]+>/g, "\\d+")
    .replace(/<the (?:record|config)>/g, '".*"')
    .replace(/<its length>/g, "\\d+")
    .replace(/(?<=IFLA_NEW_IFINDEX\\\}, )\d+/, ANY_INDEX)
    .replace(/<[^<>]+>/g, ".*");
}

const KEPT_FILTER = /\/@seccomp"$|^"\/proc\/self\/fd\/\d+\/new-/;

function doneLines(calls: readonly TracedCall[]): string[] {
  const writable = new Map<string, string>();
  const directories = new Map<string, string>();
  const lines: string[] = [];
  for (const traced of calls) {
    const { call, args, result, errno } = traced;
    // The cache of filters is not explained.
    if (args.some((text) => KEPT_FILTER.test(text))) continue;
    const [first = "", second = "", third = ""] = args;
    const opens = call === "openat" || call === "openat2";
    if (opens && result >= 0) directories.set(String(result), unquoted(second));
    if (call === "close") writable.delete(first);
    if (errno !== "") continue;
    if (opens && /O_WRONLY|O_RDWR|O_CREAT/.test(third) && !unquoted(second).startsWith("/dev/")) {
      writable.set(String(result), unquoted(second));
      lines.push(
        line(
          call,
          call === "openat2" ? ["AT_FDCWD", absolute(first, second, directories), ...args.slice(2)] : args,
        ),
      );
    } else if (call === "write" && writable.has(first)) lines.push(line(call, args.slice(1)));
    else if (call === "clone3" && first.includes("CLONE_VFORK")) lines.push("posix_spawn");
    else if (call === "prlimit64" && third !== "NULL" && first !== "0") lines.push(line(call, args));
    else if (call === "sendmsg") lines.push(...busLines(second));
    // The abstract address that sd-bus binds its socket to.
    else if (call === "bind" && second.includes('sun_path=@"')) continue;
    else if (call === "bpf" && READING_BPF.has(first)) continue;
    else if (call === "bind" || call === "connect") lines.push(line(call, [address(second, directories)]));
    else if (call === "listen") lines.push(line(call, args.slice(1)));
    else if (call === "sendto") lines.push(...routeLines(traced));
    else if (CHANGING.has(call)) lines.push(line(call, args));
  }
  return lines;
}

/** Calls and methods that only ask are not explained. */
const READING_BPF = new Set(["BPF_PROG_QUERY", "BPF_PROG_GET_FD_BY_ID"]);
const READING_METHODS = new Set(["Hello", "Get"]);

/** A D-Bus message as its member, the third field of the header: D-Bus Specification, Header Fields. */
function busLines(message: string): string[] {
  const [, member = "Get"] = /\\3\\1s\\0.*?\\0\\0\\0([A-Z]\w*)\\0/.exec(message) ?? [];
  return READING_METHODS.has(member) ? [] : [line("sendmsg", [member])];
}

function routeLines(traced: TracedCall): string[] {
  const request = routeChange(traced);
  return request === undefined ? [] : [line(traced.call, [request, ...traced.args.slice(2)])];
}

function line(call: string, args: readonly string[]): string {
  return sortedFlags([call, ...args].join(" "));
}

function unquoted(text: string): string {
  return text.startsWith('"') ? text.slice(1, -1) : text;
}

function absolute(directory: string, name: string, directories: ReadonlyMap<string, string>): string {
  return JSON.stringify(`${directories.get(directory) ?? ""}/${unquoted(name)}`);
}

/** The real path of a socket, whose address leads through an open directory. */
function address(text: string, directories: ReadonlyMap<string, string>): string {
  return text.replace(/\/proc\/self\/fd\/(\d+)/, (whole, fd: string) => directories.get(fd) ?? whole);
}

function sortedFlags(text: string): string {
  return text.replace(/[A-Z0-9_]+(?:\|[A-Z0-9_]+)+/g, (flags) => flags.split("|").sort().join("|"));
}
