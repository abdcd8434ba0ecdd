import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { which } from "../runtime.ts";

/** A user with their own systemd in the machine. */
export const USER = 1234;

const CALLER = "[Unit]\nDefaultDependencies=no\n[Service]\nExecStart=sleep infinity\n";
const BUS_SOCKET = (path: string) => `[Unit]\nDefaultDependencies=no\n[Socket]\nListenStream=${path}\n`;
const BUS_SERVICE = (kind: string) =>
  `[Unit]\nDefaultDependencies=no\nRequires=dbus.socket\n[Service]\nType=notify\nExecStart=dbus-daemon --${kind} --address=systemd: --nofork --nopidfile --systemd-activation\n`;
const TARGET = (wants: string) => `[Unit]\nDefaultDependencies=no\nWants=${wants}\n`;

/** The user as the host's tools look for one, with further ids for containers. */
const accounts = {
  passwd: `spec:x:${USER}:${USER}::/:/bin/sh`,
  group: `spec:x:${USER}:`,
};

/** Reasons why systemd can't be booted here, or undefined. */
export function noSystemd(): string | undefined {
  if (!existsSync("/usr/lib/systemd/systemd")) return "needs systemd: apt-get install systemd";
  return which("dbus-daemon") === undefined ? "needs dbus-daemon: apt-get install dbus" : undefined;
}

/** A systemd that is pid 1 of its own namespaces; the files of the host are all there. */
export class Machine {
  /** Runs a command below it in the machine, as a service of systemd. */
  readonly wrapper: readonly string[];
  /** The same as a user who has their own systemd. */
  readonly userWrapper: readonly string[];
  readonly #process: ChildProcess;
  readonly #directory: string;
  readonly #cgroup: string;

  static async boot(): Promise<Machine> {
    const directory = mkdtempSync(join(tmpdir(), "rspec-systemd-"));
    const cgroup = `/sys/fs/cgroup/rspec-systemd-${randomBytes(3).toString("hex")}`;
    writeUnits(directory, cgroup);
    enableHugePages();
    const log = openSync(join(directory, "log"), "w");
    const child = spawn(join(import.meta.dirname, "systemd.sh"), [directory], {
      stdio: ["ignore", log, log],
    });
    closeSync(log);
    for (const limit = Date.now() + 60_000; ; await sleep(50)) {
      const pid = tryRead(`/proc/${child.pid}/task/${child.pid}/children`).trim();
      if (pid !== "" && tryRead(`/proc/${pid}/root/run/spec-ready`) !== "")
        return new Machine(child, pid, directory, cgroup);
      if (Date.now() < limit && child.exitCode === null) continue;
      child.kill("SIGKILL");
      throw new Error(`systemd has not booted: ${tryRead(join(directory, "log"))}`);
    }
  }

  private constructor(process: ChildProcess, pid: string, directory: string, cgroup: string) {
    this.#process = process;
    this.#directory = directory;
    this.#cgroup = cgroup;
    const enter = ["nsenter", "--target", pid, "--mount", "--pid", "--cgroup"];
    const asCaller = 'echo $$ > /sys/fs/cgroup/system.slice/caller.service/cgroup.procs && exec "$@"';
    this.wrapper = [...enter, "sh", "-c", asCaller, "sh"];
    this.userWrapper = [
      ...this.wrapper,
      ...["setpriv", "--reuid", String(USER), "--regid", String(USER), "--clear-groups"],
      ...["env", `XDG_RUNTIME_DIR=/run/user/${USER}`],
    ];
  }

  /** The output of a command in the machine. */
  output(...command: readonly string[]): string {
    const [file = "", ...args] = [...this.wrapper, ...command];
    return execFileSync(file, args, { encoding: "utf8", timeout: 30_000 }).trim();
  }

  /** The properties of a unit as systemctl shows them. */
  show(unit: string, ...properties: readonly string[]): Record<string, string> {
    const lines = this.output("systemctl", "show", unit, `--property=${properties.join(",")}`).split("\n");
    const shown: Record<string, string> = {};
    for (const line of lines) {
      const name = line.slice(0, line.indexOf("="));
      const value = line.slice(name.length + 1);
      shown[name] = shown[name] === undefined ? value : `${shown[name]}; ${value}`;
    }
    return shown;
  }

  /** Names of the units that systemd knows of by a pattern. */
  units(pattern: string): string[] {
    return this.output("systemctl", "list-units", "--all", "--plain", "--no-legend", pattern)
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => line.replace(/^●? */, "").split(" ")[0] ?? "");
  }

  async stop(): Promise<void> {
    const ended = new Promise((resolve) => this.#process.once("exit", resolve));
    // unshare has --kill-child, and with pid 1 of a pid namespace all its processes end.
    this.#process.kill("SIGKILL");
    await ended;
    for (const limit = Date.now() + 20_000; !tryRemove(this.#cgroup) && Date.now() < limit; ) await sleep(50);
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

function writeUnits(directory: string, cgroup: string): void {
  writeFileSync(join(directory, "cgroup"), cgroup);
  const runtime = `/run/user/${USER}`;
  const manager = [
    "[Unit]\nDefaultDependencies=no\nRequires=dbus.service\nAfter=dbus.service",
    `[Service]\nType=notify\nUser=${USER}\nDelegate=yes`,
    `Environment=XDG_RUNTIME_DIR=${runtime} SYSTEMD_GENERATOR_PATH=/nonexistent`,
    `Environment=SYSTEMD_UNIT_PATH=${directory}/user:${runtime}/systemd/transient`,
    `ExecStartPre=+install -d -m 700 -o ${USER} -g ${USER} ${runtime}`,
    "ExecStart=/usr/lib/systemd/systemd --user --unit=spec.target",
  ].join("\n");
  const ready =
    "[Unit]\nDefaultDependencies=no\nAfter=caller.service dbus.service user.service\n[Service]\nType=oneshot\nExecStart=sh -c 'echo ready > /run/spec-ready'\n";
  const units = {
    "system/spec.target": TARGET("dbus.socket dbus.service caller.service user.service ready.service"),
    "system/dbus.socket": BUS_SOCKET("/run/dbus/system_bus_socket"),
    "system/dbus.service": BUS_SERVICE("system"),
    "system/caller.service": CALLER,
    "system/user.service": `${manager}\n`,
    "system/ready.service": ready,
    "user/spec.target": TARGET("dbus.socket"),
    "user/dbus.socket": BUS_SOCKET("%t/bus"),
    "user/dbus.service": BUS_SERVICE("session"),
  };
  for (const folder of ["system", "user"]) mkdirSync(join(directory, folder));
  for (const [name, text] of Object.entries(units)) writeFileSync(join(directory, name), text);
  mkdirSync(join(directory, "etc"));
  for (const [file, entry] of Object.entries(accounts)) {
    writeFileSync(join(directory, "etc", file), `${readFileSync(`/etc/${file}`, "utf8")}${entry}\n`);
  }
  execFileSync("chmod", ["755", directory]);
}

/** Enables hugetlb, as the first container of any other test does. Nobody in the machine can. */
function enableHugePages(): void {
  try {
    writeFileSync("/sys/fs/cgroup/cgroup.subtree_control", "+hugetlb");
  } catch {
    // The machine has no such controller, or not on cgroup v2.
  }
}

function tryRead(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

/** Innermost first. */
function tryRemove(cgroup: string): boolean {
  try {
    for (const entry of readdirSync(cgroup, { withFileTypes: true }))
      if (entry.isDirectory()) tryRemove(join(cgroup, entry.name));
    rmdirSync(cgroup);
    return true;
  } catch {
    return !existsSync(cgroup);
  }
}
