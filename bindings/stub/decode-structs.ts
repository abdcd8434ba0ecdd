import { capabilityNames } from "../abi/capability.ts";
import type { ToName } from "../abi/flag-names.ts";
import {
  clone_args,
  ifreq,
  landlock_net_port_attr,
  landlock_path_beneath_attr,
  landlock_ruleset_attr,
  mount_attr,
  open_how,
  sock_fprog,
} from "../abi/layouts.ts";
import { RLIM_INFINITY } from "../abi/resource.ts";
import { IFF_RUNNING, IFF_UP } from "../abi/socket.ts";
import { type Argument, type Data, isData } from "./program.ts";

/** Structs that system calls take, as strace(1) shows them. */

/** Facts about a program that the text of an argument depends on. */
export interface DecodeContext {
  /** Name of the value in a register. */
  register(register: number): string;
  /** Whether the kernel fills in these bytes. */
  isOutput(data: Data): boolean;
  /** Pointers and results that earlier operations have stored into the bytes, by offset. */
  storesInto(data: Data): ReadonlyMap<number, Argument>;
}

function viewOf({ bytes, offset }: Data): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset + offset, bytes.length - offset);
}

export function openHow(data: Data, flags: ToName, resolve: ToName): string {
  const view = viewOf(data);
  const mode = view.getBigUint64(open_how.mode, true);
  const parts = [
    `flags=${flags(view.getBigUint64(open_how.flags, true))}`,
    ...(mode === 0n ? [] : [`mode=0${mode.toString(8)}`]),
    `resolve=${resolve(view.getBigUint64(open_how.resolve, true))}`,
  ];
  return `{${parts.join(", ")}}`;
}

/** Text of a field: the register that an earlier operation has stored into it, or its number. */
function field(data: Data, at: number, context: DecodeContext): string {
  const stored = context.storesInto(data).get(at);
  if (stored !== undefined && typeof stored === "object" && "register" in stored)
    return context.register(stored.register);
  return String(viewOf(data).getBigUint64(at, true));
}

export function mountAttr(
  data: Data,
  context: DecodeContext,
  attributes: ToName,
  propagation: ToName,
): string {
  const view = viewOf(data);
  const parts = [
    `attr_set=${attributes(view.getBigUint64(mount_attr.attr_set, true))}`,
    `attr_clr=${attributes(view.getBigUint64(mount_attr.attr_clr, true))}`,
    `propagation=${propagation(view.getBigUint64(mount_attr.propagation, true))}`,
    `userns_fd=${field(data, mount_attr.userns_fd, context)}`,
  ];
  return `{${parts.join(", ")}}`;
}

export function cloneArgs(data: Data, context: DecodeContext, flags: ToName): string {
  const view = viewOf(data);
  const parts = [
    `flags=${flags(view.getBigUint64(clone_args.flags, true))}`,
    `exit_signal=${view.getBigUint64(clone_args.exit_signal, true)}`,
    "stack=NULL",
    "stack_size=0",
    ...(context.storesInto(data).has(clone_args.cgroup)
      ? [`cgroup=${field(data, clone_args.cgroup, context)}`]
      : []),
  ];
  return `{${parts.join(", ")}}`;
}

/** Text of a `char *[]`, whose pointers earlier operations have stored. */
export function stringArray(argument: Argument, context: DecodeContext): string {
  if (!isData(argument)) return String(argument);
  const strings: string[] = [];
  for (const [, value] of [...context.storesInto(argument)].sort(([one], [other]) => one - other)) {
    if (isData(value)) strings.push(JSON.stringify(new TextDecoder().decode(value.bytes.subarray(0, -1))));
    else if (typeof value === "string") strings.push(JSON.stringify(value));
  }
  return `[${strings.join(", ")}]`;
}

export function capabilityName(number: number | bigint): string {
  return capabilityNames[Number(number)] ?? String(number);
}

export function capabilityHeader(): string {
  return "{version=_LINUX_CAPABILITY_VERSION_3, pid=0}";
}

export function capabilityData(argument: Argument): string {
  if (!isData(argument)) return String(argument);
  const view = viewOf(argument);
  const set = (index: number) =>
    BigInt(view.getUint32(4 * index, true)) | (BigInt(view.getUint32(12 + 4 * index, true)) << 32n);
  const names = (bits: bigint) => {
    const found: string[] = [];
    for (let number = 0n; number < 64n; number++)
      if ((bits & (1n << number)) !== 0n) found.push(`1<<${capabilityName(number)}`);
    return found.join("|") || "0";
  };
  return `{effective=${names(set(0))}, permitted=${names(set(1))}, inheritable=${names(set(2))}}`;
}

export function device(argument: Argument): string {
  if (typeof argument !== "bigint" && typeof argument !== "number") return String(argument);
  const value = BigInt(argument);
  const major = ((value >> 8n) & 0xfffn) | ((value >> 32n) & 0xfffff000n);
  const minor = (value & 0xffn) | ((value >> 12n) & 0xffffff00n);
  const hex = (number: bigint) => (number === 0n ? "0" : `0x${number.toString(16)}`);
  return `makedev(${hex(major)}, ${hex(minor)})`;
}

export function rlimit(argument: Argument): string {
  if (!isData(argument)) return argument === 0 ? "NULL" : String(argument);
  const view = viewOf(argument);
  const limit = (value: bigint) => {
    if (value === RLIM_INFINITY) return "RLIM64_INFINITY";
    return value > 1024n && value % 1024n === 0n ? `${value / 1024n}*1024` : String(value);
  };
  return `{rlim_cur=${limit(view.getBigUint64(0, true))}, rlim_max=${limit(view.getBigUint64(8, true))}}`;
}

export function signalAction(argument: Argument): string {
  const isDefault = isData(argument) && argument.bytes.every((byte) => byte === 0);
  return isDefault ? "{sa_handler=SIG_DFL, sa_mask=[], sa_flags=0}" : String(argument);
}

/** Text of a mask, as ranges of numbers. */
export function cpuSet(argument: Argument): string {
  if (!isData(argument)) return argument === 0 ? "NULL" : String(argument);
  const ranges: string[] = [];
  let start = -1;
  for (let number = 0; number <= 8 * argument.bytes.length; number++) {
    const isSet = ((argument.bytes[number >> 3] ?? 0) & (1 << (number & 7))) !== 0;
    if (isSet && start < 0) start = number;
    if (isSet || start < 0) continue;
    ranges.push(start === number - 1 ? String(start) : `${start}-${number - 1}`);
    start = -1;
  }
  return `[${ranges.join(" ")}]`;
}

export function filterProgram(argument: Argument): string {
  return isData(argument) ? `{len=${viewOf(argument).getUint16(sock_fprog.len, true)}}` : String(argument);
}

/** Text of a `struct landlock_ruleset_attr`, without the fields that are 0. */
export function rulesetAttr(
  data: Data,
  rights: { readonly fs: ToName; readonly net: ToName; readonly scope: ToName },
): string {
  const view = viewOf(data);
  const fields = [
    ["handled_access_fs", landlock_ruleset_attr.handled_access_fs, rights.fs],
    ["handled_access_net", landlock_ruleset_attr.handled_access_net, rights.net],
    ["scoped", landlock_ruleset_attr.scoped, rights.scope],
  ] as const;
  const parts = fields.flatMap(([name, offset, names]) => {
    const bits = view.getBigUint64(offset, true);
    return bits === 0n ? [] : [`${name}=${names(bits)}`];
  });
  return `{${parts.join(", ")}}`;
}

export function pathBeneathAttr(data: Data, context: DecodeContext, rights: ToName): string {
  const allowed = viewOf(data).getBigUint64(landlock_path_beneath_attr.allowed_access, true);
  const parent = field(data, landlock_path_beneath_attr.parent_fd, context);
  return `{allowed_access=${rights(allowed)}, parent_fd=${parent}}`;
}

export function netPortAttr(data: Data, rights: ToName): string {
  const view = viewOf(data);
  const allowed = view.getBigUint64(landlock_net_port_attr.allowed_access, true);
  return `{allowed_access=${rights(allowed)}, port=${view.getBigUint64(landlock_net_port_attr.port, true)}}`;
}

export function groups(argument: Argument): string {
  if (!isData(argument)) return "NULL";
  const view = viewOf(argument);
  const ids: number[] = [];
  for (let at = 0; at < argument.bytes.length; at += 4) ids.push(view.getUint32(at, true));
  return `[${ids.join(", ")}]`;
}

export function interfaceFlags(argument: Argument): string {
  if (!isData(argument)) return String(argument);
  const name = new TextDecoder().decode(argument.bytes.subarray(0, argument.bytes.indexOf(0)));
  const flags = viewOf(argument).getUint16(ifreq.ifr_flags, true);
  const text = flags === (IFF_UP | IFF_RUNNING) ? "IFF_UP|IFF_RUNNING" : `0x${flags.toString(16)}`;
  return `{ifr_name=${JSON.stringify(name)}, ifr_flags=${text}}`;
}

export function windowSize(argument: Argument): string {
  if (!isData(argument)) return String(argument);
  const view = viewOf(argument);
  return `{ws_row=${view.getUint16(0, true)}, ws_col=${view.getUint16(2, true)}, ws_xpixel=0, ws_ypixel=0}`;
}

/** Text of a message. All messages of a stub carry one descriptor. */
export function message(argument: Argument, context: DecodeContext): string {
  if (!isData(argument)) return String(argument);
  const descriptors: string[] = [];
  for (const stored of context.storesInto(argument).values()) {
    if (!isData(stored)) continue;
    for (const inner of context.storesInto(stored).values())
      if (typeof inner === "object" && "register" in inner)
        descriptors.push(context.register(inner.register));
  }
  return `{SCM_RIGHTS, [${descriptors.join(", ")}]}`;
}
