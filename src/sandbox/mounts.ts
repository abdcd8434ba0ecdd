import { absolutePath, basename, dirname } from "../../bindings/linux/paths.ts";
import { RuntsError } from "../errors.ts";
import { isAtOrBelow } from "../plan/rootfs-paths.ts";
import type { ConfigInput } from "../spec/config-input.ts";
import type { Host } from "./host.ts";
import { bindOptions, hostFiles, PROGRAMS } from "./host-files.ts";
import type { SandboxOptions } from "./options.ts";

export type Mount = NonNullable<ConfigInput["mounts"]>[number];

/** A mount that an option asks for, with the option's text for errors: `--ro /srv`. */
interface GivenMount {
  readonly mount: Mount;
  readonly option: string;
}

export interface SandboxMounts {
  readonly mounts: readonly Mount[];
  /** The option that has asked for a mount, by its index. */
  readonly options: ReadonlyMap<number, string>;
  readonly cwd: string;
  readonly home: string;
}

/** Interfaces of the kernel: the sandbox has its own /proc and /dev, and no /sys. */
const OF_KERNEL = ["/proc", "/sys", "/dev"];
/** Sockets work through a read-only mount, too: whoever reaches those of docker or systemd has the host. */
const SOCKETS = ["/run", "/var/run", "/tmp", "/var/tmp"];
/** The host's own directories. A program that writes there changes the host. */
const OF_HOST = [...PROGRAMS, "/boot", "/etc", "/home", "/opt", "/root", "/srv", "/var", "/var/lib"];
/** Directories of the sandbox that no option replaces. */
const OF_SANDBOX = ["/", "/etc", ...PROGRAMS];

/** The mounts of a sandbox, in their order. `stateRoot` is the directory of runts's own records. */
export function sandboxMounts(given: SandboxOptions, host: Host, stateRoot: string): SandboxMounts {
  const home = homeOf(host);
  const own = [...pseudoFiles(), ...memoryFiles(home, given.uid ?? host.uid, gidOf(given, host))];
  const system = hostFiles(host, given.net === "host");
  const wanted = givenMounts(given, { host, home, stateRoot });
  const cwd = fromCwd(given.cwd ?? "", host);
  const shownCwd = given.cwd === undefined ? callersDirectory(wanted, { host, home, stateRoot }) : [];
  // A mount below another one comes later, in whatever order the options stand.
  const sorted = [...shownCwd, ...wanted].sort((a, b) => depth(a) - depth(b));
  const before = [...own, ...system];
  return {
    mounts: [...before, ...sorted.map(({ mount }) => mount)],
    options: new Map(sorted.map(({ option }, index) => [before.length + index, option])),
    cwd,
    home,
  };
}

/** A path that the caller has given, relative to the working directory or not. */
function fromCwd(path: string, { cwd }: Host): string {
  return absolutePath(path.startsWith("/") ? path : `${cwd}/${path}`);
}

export function gidOf({ uid }: SandboxOptions, host: Host): number {
  return uid ?? host.gid;
}

function depth({ mount }: GivenMount): number {
  return mount.destination.split("/").length;
}

/**
 * The sandbox's home has the path of the caller's, so that `--ro ~/.cargo` is where programs look for it, and HOME is what passwd says.
 * A caller whose home can't be covered has /home/sandbox.
 */
function homeOf(host: Host): string {
  const given = host.own("HOME") ?? "";
  const home = given.startsWith("/") ? absolutePath(given) : "/";
  const isTaken = [...OF_SANDBOX, ...OF_KERNEL, ...SOCKETS].some((path) => path === home);
  const isInside = [...PROGRAMS, "/etc", ...OF_KERNEL].some((path) => isAtOrBelow(home, path));
  return isTaken || isInside ? "/home/sandbox" : home;
}

function pseudoFiles(): Mount[] {
  const unsafe = ["nosuid", "noexec", "nodev"];
  return [
    { destination: "/proc", type: "proc", source: "proc", options: unsafe },
    {
      destination: "/dev",
      type: "tmpfs",
      source: "tmpfs",
      options: ["nosuid", "strictatime", "mode=755", "size=64k"],
    },
    {
      destination: "/dev/pts",
      type: "devpts",
      source: "devpts",
      options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"],
    },
    { destination: "/dev/shm", type: "tmpfs", source: "shm", options: [...unsafe, "mode=1777"] },
  ];
}

/** Programs may be executed there: test suites compile and run them. */
function memoryFiles(home: string, uid: number, gid: number): Mount[] {
  const safe = ["nosuid", "nodev"];
  return [
    ...["/tmp", "/var/tmp"].map((destination) => memory(destination, [...safe, "mode=1777"])),
    memory(home, [...safe, "mode=0700", `uid=${uid}`, `gid=${gid}`]),
  ];
}

function memory(destination: string, options: string[]): Mount {
  return { destination, type: "tmpfs", source: "tmpfs", options };
}

interface Surroundings {
  readonly host: Host;
  readonly home: string;
  readonly stateRoot: string;
}

/** Paths as given, and where their links lead: what is shown counts by its real path, and /home may be a link to /var/home. */
function withReal(paths: readonly string[], host: Host): string[] {
  const absolute = paths.filter((path) => path.startsWith("/")).map(absolutePath);
  return absolute.flatMap((path) => [path, realAsFarAsKnown(path, host)]);
}

/** What isn't there yet, such as the state directory before its first use, will be where the links of its parent lead. */
function realAsFarAsKnown(path: string, host: Host): string {
  try {
    return host.realPath(path);
  } catch {
    return path === "/" ? "/" : absolutePath(`${realAsFarAsKnown(dirname(path), host)}/${basename(path)}`);
  }
}

/** The caller's home; that of passwd(5) if HOME names none. */
function callersHomes(host: Host): string[] {
  const given = host.own("HOME") ?? "";
  const namesHome = given.startsWith("/") && absolutePath(given) !== "/";
  return withReal([namesHome ? given : host.passwdHome()], host);
}

function givenMounts(given: SandboxOptions, around: Surroundings): GivenMount[] {
  const bind =
    (name: "ro" | "rw") =>
    (text: string): GivenMount => {
      const option = `--${name} ${text}`;
      const [path = "", destination] = /^(.+?):(\/.*)$/s.exec(text)?.slice(1) ?? [text];
      const source = fromCwd(path, around.host);
      checkSource(option, source, name, around);
      const mount = {
        destination: absolutePath(destination ?? source),
        type: "bind",
        source,
        options: bindOptions(name),
      };
      return { mount, option };
    };
  const uid = given.uid ?? around.host.uid;
  const ownedTmpfs = (text: string): GivenMount => ({
    mount: memory(fromCwd(text, around.host), [
      "nosuid",
      "nodev",
      "mode=0755",
      `uid=${uid}`,
      `gid=${gidOf(given, around.host)}`,
    ]),
    option: `--tmpfs ${text}`,
  });
  const mounts = [
    ...(given.ro ?? []).map(bind("ro")),
    ...(given.rw ?? []).map(bind("rw")),
    ...(given.tmpfs ?? []).map(ownedTmpfs),
  ];
  for (const wanted of mounts) checkDestination(wanted, mounts);
  return mounts;
}

/**
 * The caller's working directory, read-only: the program can read what it is to work on, and change nothing. A directory that holds more than
 * that work, such as the caller's home with its keys, has to be named.
 */
function callersDirectory(given: readonly GivenMount[], around: Surroundings): GivenMount[] {
  const { host, home } = around;
  const { cwd } = host;
  const isShown = [...PROGRAMS, ...given.map(({ mount }) => mount.destination)].some((path) =>
    isAtOrBelow(cwd, path),
  );
  // All that the sandbox sees is below "/" anyway.
  if (cwd === "/" || isShown) return [];
  const option = `the working directory ${cwd}`;
  const hint = "go to another one, or name one of the sandbox by --cwd, such as /tmp";
  if ([home, ...callersHomes(host)].some((path) => isAtOrBelow(path, cwd)))
    throw refused(
      option,
      `it holds your home directory, and what is secret in it: ${hint}; --ro . shows it all the same`,
    );
  if (isOfHost(cwd, host)) throw refused(option, `it is the host's: ${hint}; --ro . shows it all the same`);
  checkSource(option, cwd, "ro", around);
  return [{ mount: { destination: cwd, type: "bind", source: cwd, options: bindOptions("ro") }, option }];
}

/** Refuses sources by which the program would get at the host, or at the kernel's interfaces. Links count as what they lead to. */
function checkSource(option: string, source: string, right: "ro" | "rw", around: Surroundings): void {
  const { host, stateRoot } = around;
  const real = realPathOf(option, source, host);
  const runtimeDirectories = withReal([host.own("XDG_RUNTIME_DIR") ?? "/run/user"], host);
  const sockets = withReal(SOCKETS, host);
  if (real === "/")
    throw refused(option, "it is the whole host: name the directories that the program needs");
  if (OF_KERNEL.some((path) => isAtOrBelow(real, path)))
    throw refused(option, "it is an interface of the host's kernel: the sandbox has its own /proc and /dev");
  if (sockets.includes(real) || runtimeDirectories.some((path) => isAtOrBelow(path, real)))
    throw refused(
      option,
      "it holds sockets of other programs, which work through a read-only mount too: name the file",
    );
  if (withReal([stateRoot], host).some((path) => isAtOrBelow(real, path) || isAtOrBelow(path, real)))
    throw refused(option, "it holds the state of runts, by which a program could leave its sandbox");
  if (right === "ro") return;
  if (isOfHost(real, host))
    throw refused(option, "it is the host's own: name a directory below that the program may change");
  if (callersHomes(host).some((path) => isAtOrBelow(path, real)))
    throw refused(
      option,
      "it holds your home directory: a program that writes there decides what you run next",
    );
}

function isOfHost(real: string, host: Host): boolean {
  return (
    withReal(OF_HOST, host).includes(real) || withReal(["/etc"], host).some((path) => isAtOrBelow(real, path))
  );
}

function realPathOf(option: string, source: string, host: Host): string {
  try {
    return host.realPath(source);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new RuntsError(`${option}: ${reason}`, {
      operation: "sandbox",
      errno: "ENOENT",
      path: source,
      cause,
    });
  }
}

function checkDestination({ mount, option }: GivenMount, all: readonly GivenMount[]): void {
  const { destination } = mount;
  if (OF_SANDBOX.includes(destination) || OF_KERNEL.some((path) => isAtOrBelow(destination, path)))
    throw refused(option, `${destination} is the sandbox's own`);
  const same = all.filter((other) => other.mount.destination === destination);
  if (same.length > 1)
    throw refused(option, `${same.find((other) => other.mount !== mount)?.option} is at the same place`);
}

function refused(option: string, reason: string): RuntsError {
  return new RuntsError(`${option}: ${reason}`, { operation: "sandbox", errno: "EINVAL", path: option });
}
