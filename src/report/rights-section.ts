import { capabilityNames } from "../../bindings/abi/capability.ts";
import { EPERM, errnoName } from "../../bindings/abi/errno.ts";
import type { Capabilities, Config, SeccompArg, SeccompSyscall } from "../spec/types.ts";
import { type Content, element } from "./html.ts";
import { type ConfigLinks, counted, paragraph, type Section, table, words } from "./parts.ts";

/** What the container's process may do: its capabilities, and its seccomp profile in words. */

const SETS = [
  "bounding",
  "permitted",
  "effective",
  "inheritable",
  "ambient",
] as const satisfies readonly (keyof Capabilities)[];

export function capabilitiesSection({ process }: Config, links: ConfigLinks): Section {
  const capabilities = process?.capabilities ?? {};
  const named = new Set(SETS.flatMap((set) => capabilities[set] ?? []));
  const known = capabilityNames.filter((name) => named.has(name));
  const absent = capabilityNames.filter((name) => !named.has(name));
  const rows = known.map((name) => [
    element("code", {}, name),
    ...SETS.map((set) => ((capabilities[set] ?? []).includes(name) ? "●" : "")),
  ]);
  return {
    id: "capabilities",
    title: "Capabilities",
    summary: `${named.size} of ${capabilityNames.length}`,
    content: [
      paragraph(
        named.size === 0 ? "The process has no capabilities. " : "The process gets these capabilities. ",
        links.to("/process/capabilities"),
      ),
      rows.length > 0 && table(["capability", ...SETS], rows),
      absent.length > 0 && paragraph("In no set: ", words(absent)),
    ],
  };
}

/** What becomes of a system call, by seccomp(2). */
const EFFECTS: Readonly<Record<string, string>> = {
  SCMP_ACT_ALLOW: "is allowed",
  SCMP_ACT_LOG: "is allowed, and logged",
  SCMP_ACT_ERRNO: "fails",
  SCMP_ACT_TRAP: "raises SIGSYS",
  SCMP_ACT_TRACE: "is passed to a tracer",
  SCMP_ACT_NOTIFY: "is decided by the agent at listenerPath",
  SCMP_ACT_KILL: "kills the thread",
  SCMP_ACT_KILL_THREAD: "kills the thread",
  SCMP_ACT_KILL_PROCESS: "kills the process",
};

export function seccompSection({ linux = {} }: Config, links: ConfigLinks): Section {
  const { seccomp } = linux;
  const base = { id: "seccomp", title: "Seccomp profile" };
  if (seccomp === undefined)
    return {
      ...base,
      summary: "none",
      content: paragraph("No filter: the process may make every system call."),
    };
  const { defaultAction, defaultErrnoRet, architectures = [], flags = [], syscalls = [] } = seccomp;
  const names = new Set(syscalls.flatMap((rule) => rule.names));
  return {
    ...base,
    summary: `${counted(syscalls.length, "rule")} about ${counted(names.size, "system call")}`,
    content: [
      paragraph(
        `A system call that no rule names ${effect(defaultAction, defaultErrnoRet)}. `,
        links.to("/linux/seccomp/defaultAction"),
      ),
      rulesContent(syscalls, links),
      architectures.length > 0 &&
        paragraph(
          "For these architectures: ",
          words(architectures.map((name) => name.replace("SCMP_ARCH_", ""))),
        ),
      flags.length > 0 && paragraph("Flags of the filter: ", words(flags)),
    ],
  };
}

function effect(action: string, errno: number | undefined): string {
  const text = EFFECTS[action] ?? action;
  if (action !== "SCMP_ACT_ERRNO") return text;
  return `${text} with ${errnoName(errno ?? EPERM)}`;
}

/** A rule about more calls is not in the table, but folded below it. */
const MOST_IN_TABLE = 24;

function rulesContent(syscalls: readonly SeccompSyscall[], links: ConfigLinks): Content {
  const rules = syscalls.map((rule, index) => ({ ...rule, pointer: `/linux/seccomp/syscalls/${index}` }));
  const isLong = ({ names, args = [] }: SeccompSyscall) => names.length > MOST_IN_TABLE && args.length === 0;
  const rows = rules
    .filter((rule) => !isLong(rule))
    .map(({ names, args = [], action, errnoRet, pointer }) => [
      words(names),
      args.length === 0 ? "always" : words(args.map(condition)),
      effect(action, errnoRet),
      links.to(pointer),
    ]);
  return [
    rules
      .filter(isLong)
      .map(({ names, action, errnoRet, pointer }) =>
        element(
          "details",
          { class: "area" },
          element(
            "summary",
            {},
            element("h3", {}, `Each of these ${names.length} calls ${effect(action, errnoRet)}`),
            " ",
            links.to(pointer),
          ),
          element("p", { class: "item" }, words(names)),
        ),
      ),
    rows.length > 0 && table(["calls", "if", "the call", "rule"], rows),
  ];
}

const SIGNS: Readonly<Record<string, string>> = {
  SCMP_CMP_NE: "≠",
  SCMP_CMP_LT: "<",
  SCMP_CMP_LE: "≤",
  SCMP_CMP_EQ: "=",
  SCMP_CMP_GE: "≥",
  SCMP_CMP_GT: ">",
};

/** Arguments are counted from 0, as in the config. */
function condition({ index, op, value, valueTwo = 0n }: SeccompArg): string {
  const hex = (number: bigint) => `0x${BigInt.asUintN(64, number).toString(16)}`;
  return op === "SCMP_CMP_MASKED_EQ"
    ? `argument ${index} & ${hex(value)} = ${hex(valueTwo)}`
    : `argument ${index} ${SIGNS[op] ?? op} ${hex(value)}`;
}
