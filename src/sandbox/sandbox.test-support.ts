import type { Host } from "./host.ts";

/** Files of a host: "/" marks a directory, any other text is the target of a symbolic link, "" a file. */
const FILES: Readonly<Record<string, string>> = {
  "/usr": "/",
  "/bin": "usr/bin",
  "/lib": "/",
  "/etc": "/",
  "/etc/passwd": "",
  "/etc/shadow": "",
  "/etc/localtime": "/usr/share/zoneinfo/UTC",
  "/etc/resolv.conf": "../run/systemd/resolve/stub-resolv.conf",
  "/etc/java-17-openjdk": "/",
  "/etc/javascript": "/",
  "/work": "/",
  "/work/out": "/",
  "/work/file": "",
};

const REAL: Readonly<Record<string, string>> = {
  "/bin": "/usr/bin",
  "/etc/localtime": "/usr/share/zoneinfo/UTC",
  "/etc/resolv.conf": "/run/systemd/resolve/stub-resolv.conf",
  "/work/to-etc": "/etc",
};

/** A host in memory, whose user stands in /work. */
export function testHost(
  changes: Partial<Host> = {},
  variables: Readonly<Record<string, string>> = {},
): Host {
  const all: Readonly<Record<string, string>> = { HOME: "/home/me", ...variables };
  return {
    uid: 1000,
    gid: 100,
    cwd: "/work",
    variable: (name) => all[name],
    own: (name) => all[name],
    passwdHome: () => "/home/me",
    kindOf: (path) => (FILES[path] === undefined ? undefined : FILES[path] === "/" ? "directory" : "file"),
    linkTarget: (path) => (["", "/", undefined].includes(FILES[path]) ? undefined : FILES[path]),
    realPath: (path) => REAL[path] ?? path,
    names: () => ["java-17-openjdk", "javascript", "passwd", "perl5", "shadow"],
    ...changes,
  };
}

export const SURROUNDINGS = { stateRoot: "/run/user/1000/runts", terminal: false, machine: "x64" };
