import { lacksMappings } from "../spec/default-mappings.ts";
import type { Config, Hook, Hooks, IdMapping, Seccomp } from "../spec/types.ts";
import { failure, type Tell, warning } from "./finding.ts";

/** Reports what is valid below `linux`, but can't work or is probably a mistake. */
export function linuxRules(config: Config, tell: Tell): void {
  seccompRules(config.linux?.seccomp, tell);
  resourceRules(config, tell);
  mappingRules(config, tell);
  namespaceRules(config, tell);
}

/** System calls that every program needs, each with the consequence of its denial. */
const NEEDED_TO_START: readonly (readonly [name: string, what: string])[] = [
  ["execve", "the program can never be started"],
  ["exit_group", "no program can end in order"],
];
/** System calls that every dynamic loader makes; alternatives are separated by `|`. */
const NEEDED_BY_LOADERS = ["mmap", "mprotect", "brk", "read", "close", "openat", "fstat|newfstatat"];

function seccompRules(seccomp: Seccomp | undefined, tell: Tell): void {
  if (seccomp === undefined) return;
  (seccomp.syscalls ?? []).forEach(({ names }, index) => {
    if (names.length > 0) return;
    tell(
      warning("seccomp-rule", `/linux/seccomp/syscalls/${index}/names`, "is empty: the rule has no effect"),
    );
  });
  const denied = (name: string) => verdict(seccomp, name);
  for (const [name, consequence] of NEEDED_TO_START) {
    const found = denied(name);
    if (found === undefined) continue;
    const say = name === "execve" ? failure : warning;
    tell(
      say(
        "seccomp-denies",
        found.pointer,
        `${name} is answered with ${found.action}: ${consequence}`,
        `allow ${name}`,
      ),
    );
  }
  const missing = NEEDED_BY_LOADERS.filter((names) =>
    names.split("|").every((name) => denied(name) !== undefined),
  );
  if (missing.length === 0) return;
  const names = missing.join(", ").replaceAll("|", " or ");
  const pointer = denied(missing[0]?.split("|")[0] ?? "")?.pointer ?? "/linux/seccomp";
  tell(
    warning("seccomp-denies", pointer, `denies ${names}, which dynamically linked programs need to start`),
  );
}

/** The rule that denies a call whatever its arguments; undefined if the call is allowed, or its arguments decide. */
function verdict(
  { defaultAction, syscalls = [] }: Seccomp,
  name: string,
): { readonly action: string; readonly pointer: string } | undefined {
  const isDenial = (action: string) => !/^SCMP_ACT_(ALLOW|LOG|NOTIFY)$/.test(action);
  const rules = syscalls
    .map((rule, index) => ({ ...rule, index }))
    .filter(({ names }) => names.includes(name));
  if (rules.some(({ action, args = [] }) => !isDenial(action) || args.length > 0)) return undefined;
  const [rule] = rules;
  if (rule !== undefined) return { action: rule.action, pointer: `/linux/seccomp/syscalls/${rule.index}` };
  return isDenial(defaultAction)
    ? { action: defaultAction, pointer: "/linux/seccomp/defaultAction" }
    : undefined;
}

/** In bytes; no program runs with less, as even a shell needs pages of its own, a stack and memory of the kernel. */
const LEAST_MEMORY = 512n * 1024n;
/** Smallest quota and period of the CFS bandwidth controller: min_cfs_quota_period in the kernel. */
const LEAST_QUOTA_US = 1000n;

/** Characters of the lists that bitmap_parselist() in the kernel's lib/bitmap-str.c reads: "N" is the last CPU, "0-7:1/2" every other one. */
const CPU_LIST = /^(?:[0-9N,:/\s-]|all)*$/;

function resourceRules({ linux }: Config, tell: Tell): void {
  const { memory, pids, cpu, devices = [] } = linux?.resources ?? {};
  const at = "/linux/resources";
  const limit = memory?.limit ?? 0n;
  if (limit > 0n && limit < LEAST_MEMORY)
    tell(
      warning(
        "tiny-limit",
        `${at}/memory/limit`,
        `${limit} bytes are less than any program needs`,
        "the unit is bytes",
      ),
    );
  if (pids?.limit === 1n || pids?.limit === 0n)
    tell(
      warning(
        "tiny-limit",
        `${at}/pids/limit`,
        "leaves no room for any other process or thread than the first",
      ),
    );
  const quota = cpu?.quota ?? 0n;
  if (quota > 0n && quota < LEAST_QUOTA_US)
    tell(
      failure(
        "cpu-quota",
        `${at}/cpu/quota`,
        `must be at least ${LEAST_QUOTA_US}`,
        "the unit is microseconds",
      ),
    );
  const period = cpu?.period ?? 0n;
  if (period !== 0n && (period < LEAST_QUOTA_US || period > 1_000_000n))
    tell(
      failure("cpu-quota", `${at}/cpu/period`, "must be from 1000 to 1000000", "the unit is microseconds"),
    );
  for (const name of ["cpus", "mems"] as const)
    if (!CPU_LIST.test(cpu?.[name] ?? ""))
      tell(
        failure("cpu-list", `${at}/cpu/${name}`, "must be a list of numbers and ranges", 'such as "0-3,7"'),
      );
  devices.forEach(({ allow, type = "a", major, minor, access = "" }, index) => {
    const isAll = (type === "a" || type === undefined) && (major ?? -1n) === -1n && (minor ?? -1n) === -1n;
    if (allow && isAll && access.includes("w"))
      tell(
        warning("all-devices", `${at}/devices/${index}`, "allows every device of the host, its disks too"),
      );
  });
}

/** user_namespaces(7): ranges must not overlap, neither inside nor outside. */
function mappingRules({ linux }: Config, tell: Tell): void {
  if (lacksMappings(linux)) {
    const index = (linux.namespaces ?? []).findIndex(({ type }) => type === "user");
    const message = "has no mappings: the only id in it is root, which is the caller of create";
    const hint = 'add "uidMappings" and "gidMappings" to linux';
    tell(warning("no-mappings", `/linux/namespaces/${index}`, message, hint));
  }
  for (const name of ["uidMappings", "gidMappings"] as const) {
    const mappings = linux?.[name] ?? [];
    mappings.forEach((mapping, index) => {
      const before = mappings.slice(0, index);
      for (const side of ["containerID", "hostID"] as const) {
        const other = before.findIndex((one) => overlap(one, mapping, side));
        if (other < 0) continue;
        tell(
          failure(
            "overlapping-ids",
            `/linux/${name}/${index}/${side}`,
            `the range overlaps that of /linux/${name}/${other}`,
          ),
        );
      }
    });
  }
}

function overlap(one: IdMapping, other: IdMapping, side: "containerID" | "hostID"): boolean {
  return one[side] < other[side] + other.size && other[side] < one[side] + one.size;
}

function namespaceRules({ linux, hostname = "", domainname = "" }: Config, tell: Tell): void {
  const namespaces = linux?.namespaces ?? [];
  const has = (type: string) => namespaces.some((namespace) => namespace.type === type);
  if (!has("mount"))
    tell(
      warning(
        "no-isolation",
        "/linux/namespaces",
        "has no mount namespace: what is mounted for the container, the host has too",
      ),
    );
  const uts = namespaces.findIndex(({ type, path = "" }) => type === "uts" && path !== "");
  for (const [name, value] of [
    ["hostname", hostname],
    ["domainname", domainname],
  ] as const)
    if (uts >= 0 && value !== "")
      tell(
        warning(
          "joined-name",
          `/${name}`,
          `changes the name for all that are in the namespace of /linux/namespaces/${uts}`,
        ),
      );
}

const HOOK_KINDS: readonly (keyof Hooks)[] = [
  "prestart",
  "createRuntime",
  "createContainer",
  "startContainer",
  "poststart",
  "poststop",
];

export function eachHook(
  config: Config,
  action: (hook: Hook, pointer: string, kind: keyof Hooks) => void,
): void {
  for (const kind of HOOK_KINDS)
    for (const [index, hook] of (config.hooks?.[kind] ?? []).entries())
      action(hook, `/hooks/${kind}/${index}`, kind);
}
