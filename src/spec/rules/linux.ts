import { absolutePath } from "../../../bindings/linux/paths.ts";
import { lacksMappings } from "../default-mappings.ts";
import type { Report, Rule } from "../issues.ts";
import { pointerToken } from "../json/scanner.ts";
import { hasNamespace, isNewNamespace } from "../namespaces.ts";
import { numberListIssue } from "../number-list.ts";
import type { Config, Device, IdMapping } from "../types.ts";
import { sysctlRules } from "./sysctl.ts";

/** The kernel's limit of lines in a uid_map or gid_map: user_namespaces(7). */
const MAXIMUM_MAPPINGS = 340;
/** The highest id. The next is INVALID_UID (linux/uidgid.h), which tells system calls to leave an id unchanged. */
export const LAST_ID = 0xfffffffe;
/** The highest device numbers: MINORBITS in linux/kdev_t.h. mknod(2) cuts higher ones off, and so would make another device. */
const MAXIMUM_DEVICE = { major: 0xfffn, minor: 0xfffffn } as const;
/** IFNAMSIZ of linux/if.h, including the final NUL. */
const IFNAMSIZ = 16;

export const linuxRules: readonly Rule[] = [
  { reads: ["/linux/namespaces"], check: duplicateNamespaces },
  { reads: ["/linux/namespaces", "/hostname", "/domainname"], check: nameRules },
  { reads: ["/linux/namespaces", "/linux/uidMappings", "/linux/gidMappings"], check: mappingRules },
  {
    reads: [
      "/linux/namespaces",
      ...["maskedPaths", "readonlyPaths", "rootfsPropagation"].map((name) => `/linux/${name}`),
    ],
    check: mountNamespaceRules,
  },
  { reads: ["/linux/namespaces", "/linux/timeOffsets"], check: timeRules },
  { reads: ["/linux/namespaces", "/linux/sysctl", "/domainname"], check: sysctlRules },
  { reads: ["/linux/devices"], check: deviceRules },
  { reads: ["/linux/namespaces", "/linux/netDevices"], check: netDeviceRules },
  { reads: ["/linux/memoryPolicy"], check: memoryPolicyRules },
  { reads: ["/linux/personality"], check: personalityRule },
];

function duplicateNamespaces({ linux }: Config, report: Report): void {
  const seen = new Set<string>();
  for (const [index, { type }] of (linux?.namespaces ?? []).entries()) {
    if (seen.has(type)) report(`/linux/namespaces/${index}/type`, `${type} is listed twice`);
    seen.add(type);
  }
}

/** __NEW_UTS_LEN of linux/utsname.h. For a longer name, the kernel would only say EINVAL. */
const LONGEST_NAME = 64;

function nameRules({ hostname = "", domainname = "", linux }: Config, report: Report): void {
  const hasUts = hasNamespace(linux, "uts");
  for (const [pointer, name] of [
    ["/hostname", hostname],
    ["/domainname", domainname],
  ] as const) {
    if (name !== "" && !hasUts) report(pointer, "needs a uts namespace");
    // A UTF-16 unit takes up to three bytes in UTF-8, so most names need not be encoded.
    const isLong = name.length > LONGEST_NAME / 3 && new TextEncoder().encode(name).length > LONGEST_NAME;
    if (isLong) report(pointer, `must not be longer than ${LONGEST_NAME} bytes`);
  }
}

function mappingRules({ linux }: Config, report: Report): void {
  if (linux === undefined) return;
  const lists = { uidMappings: linux.uidMappings ?? [], gidMappings: linux.gidMappings ?? [] };
  for (const [name, mappings] of Object.entries(lists)) {
    const at = `/linux/${name}`;
    if (mappings.length === 0 && isNewNamespace(linux, "user") && !lacksMappings(linux))
      report(at, "is required, since the new user namespace has the other list of mappings");
    if (mappings.length > 0 && !hasNamespace(linux, "user")) report(at, "needs a user namespace");
    reportRanges(at, mappings, report);
  }
}

/** Reports mappings that the kernel refuses in a uid_map or gid_map. */
export function reportRanges(at: string, mappings: readonly IdMapping[], report: Report): void {
  if (mappings.length > MAXIMUM_MAPPINGS) report(at, `must have at most ${MAXIMUM_MAPPINGS} entries`);
  for (const [index, { containerID, hostID, size }] of mappings.entries()) {
    const left = LAST_ID + 1 - Math.max(containerID, hostID);
    if (size === 0) report(`${at}/${index}/size`, "must be at least 1");
    else if (size > left) report(`${at}/${index}/size`, `must be at most ${left}: no id is above ${LAST_ID}`);
  }
}

function mountNamespaceRules({ linux }: Config, report: Report): void {
  if (linux === undefined || hasNamespace(linux, "mount")) return;
  if ((linux.rootfsPropagation ?? "") !== "") report("/linux/rootfsPropagation", "needs a mount namespace");
  if ((linux.maskedPaths ?? []).length > 0) report("/linux/maskedPaths", "needs a mount namespace");
  if ((linux.readonlyPaths ?? []).length > 0) report("/linux/readonlyPaths", "needs a mount namespace");
}

function timeRules({ linux }: Config, report: Report): void {
  const clocks = Object.keys(linux?.timeOffsets ?? {});
  if (linux === undefined || clocks.length === 0) return;
  for (const clock of clocks) {
    if (clock !== "monotonic" && clock !== "boottime")
      report(`/linux/timeOffsets/${pointerToken(clock)}`, "must be the offset of monotonic or boottime");
  }
  if (isNewNamespace(linux, "time")) return;
  report("/linux/timeOffsets", "needs a new time namespace, not a joined one");
}

function deviceRules({ linux }: Config, report: Report): void {
  for (const [index, device] of (linux?.devices ?? []).entries()) {
    if (isAtPtmx(device.path) && !isPtmx(device))
      report(
        `/linux/devices/${index}`,
        "/dev/ptmx must be the device c 5:2: it is a link to the ptmx of the container's devpts",
      );
    for (const name of ["major", "minor"] as const) {
      const number = device[name];
      const at = `/linux/devices/${index}/${name}`;
      if (number === undefined && device.type !== "p") report(at, `is required for type ${device.type}`);
      if (number !== undefined && number < 0n) report(at, "must not be negative");
      if (number !== undefined && number > MAXIMUM_DEVICE[name])
        report(at, `must be at most ${MAXIMUM_DEVICE[name]}`);
    }
  }
}

function isAtPtmx(path: string): boolean {
  return path.endsWith("ptmx") && absolutePath(path) === "/dev/ptmx";
}

/** Whether a device is 5:2, the pseudo-terminal multiplexer: pts(4). */
function isPtmx({ type, major, minor }: Device): boolean {
  return (type === "c" || type === "u") && major === 5n && minor === 2n;
}

function netDeviceRules({ linux }: Config, report: Report): void {
  const devices = Object.entries(linux?.netDevices ?? {});
  for (const [name, device] of devices) {
    const at = `/linux/netDevices/${pointerToken(name)}`;
    if (!hasNamespace(linux, "network")) report(at, "needs a network namespace");
    if (!isInterfaceName(name)) report(at, "must be the name of a network interface");
    const renamed = device.name ?? "";
    if (renamed === "") continue;
    if (!isInterfaceName(renamed)) report(`${at}/name`, "must be a valid interface name");
    if (!/^[^%]*(?:%d[^%]*)?$/.test(renamed)) report(`${at}/name`, "may have one %d and no other %");
  }
}

/** As dev_valid_name() of the kernel's net/core/dev.c. */
function isInterfaceName(name: string): boolean {
  return name !== "." && name !== ".." && Buffer.byteLength(name) < IFNAMSIZ && /^[^/:\s]+$/.test(name);
}

/** Which modes take nodes: set_mempolicy(2). */
function memoryPolicyRules({ linux }: Config, report: Report): void {
  const policy = linux?.memoryPolicy;
  if (policy === undefined) return;
  const { mode, nodes = "", flags = [] } = policy;
  const hasNodes = nodes.trim() !== "";
  const at = "/linux/memoryPolicy/nodes";
  const issue = numberListIssue(nodes);
  if (issue !== undefined) report(at, issue);
  if (flags.includes("MPOL_F_STATIC_NODES") && flags.includes("MPOL_F_RELATIVE_NODES"))
    report("/linux/memoryPolicy/flags", "must not have both MPOL_F_STATIC_NODES and MPOL_F_RELATIVE_NODES");
  if (mode === "MPOL_DEFAULT" || mode === "MPOL_LOCAL") {
    if (hasNodes) report(at, `must be empty for ${mode}`);
  } else if (!hasNodes && mode !== "MPOL_PREFERRED") {
    report(at, `is required by ${mode}`);
  }
}

function personalityRule({ linux }: Config, report: Report): void {
  if ((linux?.personality?.flags ?? []).length > 0)
    report("/linux/personality/flags", "must be empty: no flag is defined");
}
