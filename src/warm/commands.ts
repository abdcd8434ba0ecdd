import { BUNDLES, CONSOLE_SOCKET, LOG, ROOT, WORK } from "./warm-host.ts";

export interface UsualCommand {
  readonly argv: readonly string[];
  readonly exitCode?: number;
  /** Matches the text on standard error. Without it, nothing may be written there. */
  readonly says?: RegExp;
}

/** Commands that a user without privileges runs before the freeze. */
export function usersCommands(): UsualCommand[] {
  return [
    ...life("unprivileged"),
    { argv: global("run", "--bundle", `${BUNDLES}/unprivileged`, "foreground") },
    { argv: ["spec", "--rootless", "--bundle", `${BUNDLES}/new`] },
    ...(keepsFilters ? sandbox : []),
  ];
}

const sandbox: readonly UsualCommand[] = [
  { argv: global("sandbox", "--rw", WORK, "--env", "A=b", "--timeout", "60s", "--", "true") },
];

/** Commands that root runs before the freeze. The order counts: later ones use the containers that earlier ones made. */
export function usualCommands(): UsualCommand[] {
  return [
    { argv: ["--version"] },
    { argv: ["features"] },
    ...["rootful", "rootless", "hooked"].flatMap((bundle) => life(bundle)),
    ...life("scope", ["--systemd-cgroup"]),
    ...atTerminal(),
    { argv: global("run", "--bundle", `${BUNDLES}/rootful`, "foreground") },
    { argv: global("run", "--detach", "--bundle", `${BUNDLES}/rootful`, "detached") },
    { argv: global("delete", "--force", "detached") },
    ...(keepsFilters ? filteredContainer() : []),
    { argv: global("delete", "--force", "unknown") },
    { argv: global("state", "unknown"), exitCode: 1, says: /does not exist/ },
    { argv: global("create", "--bundle", `${BUNDLES}/invalid`, "invalid"), exitCode: 1, says: /\/root/ },
    { argv: ["spec", "--bundle", `${BUNDLES}/new`] },
    ...(keepsFilters ? sandbox : []),
    { argv: ["bundle"], exitCode: 3, says: /No help topic/ },
  ];
}

/** Under Node each filter is compiled anew, by a library that a host need not have. */
const keepsFilters = process.versions.bun !== undefined;

function filteredContainer(): UsualCommand[] {
  return [
    { argv: global("create", "--bundle", `${BUNDLES}/filtered`, "filtered") },
    { argv: global("delete", "filtered") },
  ];
}

/** The life of a container, as an engine leads it. */
function life(bundle: string, options: readonly string[] = []): UsualCommand[] {
  const id = `warm-${bundle}`;
  const path = `${BUNDLES}/${bundle}`;
  const files = ["--pid-file", `${path}/pid`];
  return [
    global(...options, "create", "--bundle", path, ...files, id),
    global("state", id),
    global("start", id),
    global("state", id),
    global("exec", ...files, id, "true"),
    global("exec", "--detach", "--process", `${path}/process.json`, ...files, id),
    global("exec", "--env", "A=b", "--cwd", "/", "--user", "1000:1000", "--cap", "CAP_KILL", id, "true"),
    global("list"),
    global("list", "--format", "json"),
    global("ps", "--format", "json", id),
    global("events", "--stats", id),
    global("update", "--memory", "536870912", "--pids-limit", "100", id),
    global("pause", id),
    global("resume", id),
    global("kill", id, "TERM"),
    global("kill", id, "KILL"),
    global("state", id),
    global("delete", id),
  ].map((argv) => ({ argv }));
}

/** As those lead it who want a terminal. */
function atTerminal(): UsualCommand[] {
  const socket = ["--console-socket", CONSOLE_SOCKET];
  return [
    global("create", "--bundle", `${BUNDLES}/terminal`, ...socket, "terminal"),
    global("start", "terminal"),
    global("exec", "--tty", "--detach", ...socket, "terminal", "true"),
    global("delete", "--force", "terminal"),
  ].map((argv) => ({ argv }));
}

/** With the options that engines put in front of the command. */
function global(...command: string[]): string[] {
  return ["--root", ROOT, "--log", LOG, "--log-format", "json", ...command];
}
