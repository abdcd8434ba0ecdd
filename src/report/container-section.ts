import type { MountInfo } from "../../bindings/linux/mount-info.ts";
import type { Finding } from "../doctor/finding.ts";
import { NAMESPACE_FLAGS } from "../plan/namespaces.ts";
import type { Config, Hooks } from "../spec/types.ts";
import { type Content, type Element, element } from "./html.ts";
import { variableName } from "./mask.ts";
import {
  type ConfigLinks,
  code,
  counted,
  facts,
  paragraph,
  type Section,
  table,
  verdictMark,
  words,
} from "./parts.ts";
import type { Report, ReportedContainer } from "./report.ts";

/** Sections about the container: its state, its namespaces and hooks, and what doctor found. */

export function stateSection({ state, cgroup, findings }: ReportedContainer): Section {
  const { id, status, pid, bundle, rootfs, created, owner } = state;
  const bad = findings.filter(({ verdict }) => verdict === "bad").length;
  return {
    id: "container",
    title: "Container",
    summary: [
      element("span", { class: `status ${status}` }, status),
      bad > 0 && [
        " ",
        element("span", { class: "mark bad" }, `${counted(bad, "difference")} from the config`),
      ],
    ],
    content: facts([
      ["id", id],
      ["status", status],
      ["process", pid === 0 ? undefined : pid],
      ["created", created],
      ["owner", owner],
      ["bundle", code(bundle)],
      ["root file system", code(rootfs)],
      ["cgroup", cgroup === "" ? "none of its own" : code(cgroup)],
    ]),
  };
}

export function processSection({ process, hostname }: Config, links: ConfigLinks): Section | undefined {
  if (process === undefined) return undefined;
  const { args, cwd, user = {}, env = [], terminal = false, rlimits = [], noNewPrivileges = false } = process;
  const { uid = 0, gid = 0, umask, additionalGids = [] } = user;
  return {
    id: "process",
    title: "Process",
    content: [
      facts([
        ["arguments", words(args.map((argument) => JSON.stringify(argument)))],
        ["working directory", code(cwd)],
        [
          "user",
          `${uid}, group ${gid}${additionalGids.length > 0 ? `, also ${additionalGids.join(" ")}` : ""}`,
        ],
        ["umask", umask === undefined ? undefined : `0${umask.toString(8)}`],
        [
          "environment",
          [counted(env.length, "variable"), ": ", words(env.map((entry) => variableName(entry)))],
        ],
        ["host name", hostname],
        ["terminal", terminal ? "yes" : "no"],
        ["no_new_privs", [noNewPrivileges ? "set " : "not set ", links.to("/process/noNewPrivileges")]],
        ["AppArmor profile", process.apparmorProfile],
        ["SELinux label", process.selinuxLabel],
        ["oom_score_adj", process.oomScoreAdj],
        [
          "rlimits",
          rlimits.length > 0 &&
            rlimits.map(({ type, soft, hard }) => [
              code(`${type} ${limitText(soft)} : ${limitText(hard)}`),
              " ",
            ]),
        ],
      ]),
    ],
  };
}

/** RLIM_INFINITY, getrlimit(2). */
function limitText(value: bigint): string {
  return value === 2n ** 64n - 1n ? "unlimited" : String(value);
}

export function namespacesSection(
  { linux = {} }: Config,
  container: ReportedContainer | undefined,
  links: ConfigLinks,
): Section {
  const { namespaces = [], uidMappings = [], gidMappings = [] } = linux;
  const rows = Object.keys(NAMESPACE_FLAGS).map((type) => {
    const index = namespaces.findIndex((namespace) => namespace.type === type);
    const path = namespaces[index]?.path ?? "";
    const what = index < 0 ? "the runtime's" : path === "" ? "new" : ["joined: ", code(path)];
    return [
      type,
      what,
      ...(container === undefined ? [] : [container.namespaces.get(type) ?? ""]),
      index < 0 ? "" : links.to(`/linux/namespaces/${index}`),
    ];
  });
  const mapping = (name: string, list: typeof uidMappings): Content[] =>
    list.map(({ containerID, hostID, size }) =>
      paragraph(
        `${name} ${containerID} to ${containerID + size - 1} are ${hostID} to ${hostID + size - 1} outside`,
      ),
    );
  return {
    id: "namespaces",
    title: "Namespaces",
    summary: `${namespaces.length} of ${Object.keys(NAMESPACE_FLAGS).length}`,
    content: [
      table(["type", "namespace", ...(container === undefined ? [] : ["number"]), "property"], rows),
      mapping("Users", uidMappings),
      mapping("Groups", gidMappings),
    ],
  };
}

/** Where the hooks of each kind run, config.md, POSIX-platform Hooks. */
const HOOK_PLACES: readonly (readonly [kind: keyof Hooks, place: string])[] = [
  ["prestart", "in the runtime's namespaces, before the root is changed"],
  ["createRuntime", "in the runtime's namespaces, before the root is changed"],
  ["createContainer", "in the container's namespaces, before the root is changed"],
  ["startContainer", "in the container, before the program"],
  ["poststart", "in the runtime's namespaces, after the program has begun"],
  ["poststop", "in the runtime's namespaces, after the container is deleted"],
];

export function hooksSection({ hooks = {} }: Config, links: ConfigLinks): Section | undefined {
  const rows = HOOK_PLACES.flatMap(([kind, place]) =>
    (hooks[kind] ?? []).map(({ path, args = [], env = [], timeout }, index) => [
      kind,
      [code(path), " ", args.length > 1 && words(args.slice(1))],
      words(env.map((entry) => variableName(entry))),
      timeout === undefined ? "" : `${timeout} s`,
      place,
      links.to(`/hooks/${kind}/${index}`),
    ]),
  );
  if (rows.length === 0) return undefined;
  return {
    id: "hooks",
    title: "Hooks",
    summary: counted(rows.length, "hook"),
    content: table(["kind", "program", "variables", "timeout", "runs", "property"], rows),
  };
}

/** Findings of doctor, by area; those areas where all is well are folded. */
export function findingsSection(
  id: string,
  title: string,
  findings: readonly Finding[],
  links: ConfigLinks,
): Section {
  const areas = new Map<string, Finding[]>();
  for (const finding of findings) areas.set(finding.area, [...(areas.get(finding.area) ?? []), finding]);
  const bad = findings.filter(({ verdict }) => verdict === "bad").length;
  const lacking = findings.filter(({ verdict }) => verdict === "lacking").length;
  return {
    id,
    title,
    summary: [
      counted(findings.length, "finding"),
      bad > 0 && [" ", element("span", { class: "mark bad" }, `${bad} bad`)],
      lacking > 0 && [" ", element("span", { class: "mark lacking" }, `${lacking} missing`)],
    ],
    content: [...areas].map(([area, ofArea]) => areaContent(area, ofArea, links)),
  };
}

function areaContent(area: string, findings: readonly Finding[], links: ConfigLinks): Element {
  const hasPointers = findings.some(({ pointer }) => pointer !== undefined);
  const isFine = findings.every(({ verdict }) => verdict === "good");
  return element(
    "details",
    { class: "area", open: !isFine },
    element(
      "summary",
      {},
      element("h3", {}, area),
      element("span", { class: "count" }, isFine ? `${findings.length}, all ok` : findings.length),
    ),
    table(
      ["", "what", "found", ...(hasPointers ? ["property"] : [])],
      findings.map(({ verdict, subject, detail, fix, pointer }) => [
        verdictMark(verdict),
        subject,
        [detail, fix !== undefined && element("span", { class: "fix" }, fix)],
        ...(hasPointers ? [links.to(pointer)] : []),
      ]),
    ),
  );
}

export function versionsSection({ versions, made, problems }: Report): Section {
  return {
    id: "versions",
    title: "Versions",
    content: [
      facts([...versions, ["page made", made]]),
      problems.map((problem) => paragraph(verdictMark("note"), ` ${problem}`)),
    ],
  };
}

/** A container can make up to fs.mount-max mounts, each in another one: proc_sys_fs(5). No more are shown. */
const MOST_MOUNTS = 300;

/** The mounts as the kernel shows them, each below the one that it is on. */
export function mountTree(all: readonly MountInfo[]): Content {
  const mounts = all.slice(0, MOST_MOUNTS);
  const ids = new Set(mounts.map(({ id }) => id));
  const below = new Map<number, MountInfo[]>();
  for (const mount of mounts) {
    // The parent of the root is outside of the namespace.
    const parent = ids.has(mount.parent) && mount.parent !== mount.id ? mount.parent : -1;
    below.set(parent, [...(below.get(parent) ?? []), mount]);
  }
  const branch = (parent: number): Content => {
    const children = below.get(parent) ?? [];
    if (children.length === 0) return undefined;
    return element(
      "ul",
      { class: "tree" },
      children.map((mount) =>
        element(
          "li",
          {},
          element(
            "div",
            { class: "item" },
            element("code", { class: "destination" }, mount.point),
            ` ${mount.type} `,
            element("span", { class: "detail" }, mount.source, mount.root === "/" ? "" : ` at ${mount.root}`),
            " ",
            words([...mount.options, ...mount.propagation]),
          ),
          branch(mount.id),
        ),
      ),
    );
  };
  const left = all.length - mounts.length;
  return [branch(-1), left > 0 && paragraph(`and ${counted(left, "mount")} more`)];
}
