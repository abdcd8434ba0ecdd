import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Config, defaultConfig } from "../config.ts";
import { succeed } from "../container.ts";
import { expectRefusal } from "../refusal.ts";
import type { Result } from "../runtime.ts";
import { PATH } from "../runtime.ts";
import type { Guest } from "./guest.ts";

let sandboxes = 0;

const CGROUPS = "/sys/fs/cgroup";
/** Disables the controllers that a test has enabled, so that the next one starts without them. */
const DISABLE_CONTROLLERS = `for name in $(cat ${CGROUPS}/cgroup.subtree_control); do echo "-$name" > ${CGROUPS}/cgroup.subtree_control; done`;

/** A user with their own manager in a guest with systemd, see systemd.sh. */
export const GUEST_USER = 1234;

/** busybox has its own setpriv, which takes no ids. */
const AS_USER = ["/usr/bin/setpriv", `--reuid=${GUEST_USER}`, `--regid=${GUEST_USER}`, "--clear-groups"];

/** The way a user's programs run beside a manager: in a session, since it does not let in who is elsewhere. */
const SESSION = [
  ...["systemd-run", "--quiet", "--scope", `--slice=user-${GUEST_USER}.slice`],
  ...[`--uid=${GUEST_USER}`, `--gid=${GUEST_USER}`, `--setenv=XDG_RUNTIME_DIR=/run/user/${GUEST_USER}`, "--"],
];

/** systemctl of the user's manager. */
export const USER_SYSTEMCTL = `${AS_USER.join(" ")} env XDG_RUNTIME_DIR=/run/user/${GUEST_USER} systemctl --user`;

/** The surroundings of one test in a guest: containers with their own ids and one runtime. */
export class GuestSandbox {
  readonly guest: Guest;
  readonly runtime: string;
  readonly tag: string;
  /** Options before each command. */
  readonly globals: string[] = [];
  /** Commands are run by the guest's user, and not by root. */
  asUser = false;
  /** Stands in front of each command. */
  wrapper: readonly string[] = [];
  readonly #path: string;
  readonly #containers: GuestContainer[] = [];

  constructor(guest: Guest, runtime: { readonly name: string; readonly path: string }) {
    sandboxes += 1;
    this.guest = guest;
    this.runtime = runtime.name;
    this.#path = runtime.path;
    this.tag = `${runtime.name}-${sandboxes}`;
  }

  get isRunts(): boolean {
    return this.runtime.startsWith("runts");
  }

  /** A container with the shared, read-only rootfs, and a tmpfs of 64 MiB at /tmp. */
  container(mutate: (config: Config) => void = () => undefined): GuestContainer {
    const id = `${this.tag}-${this.#containers.length}`;
    const config = defaultConfig();
    config.root.path = "/run/rootfs";
    config.linux.cgroupsPath = `/${id}`;
    config.mounts.push({ destination: "/tmp", type: "tmpfs", source: "tmpfs", options: ["size=64m"] });
    mutate(config);
    const bundle = join(this.guest.exchange, id);
    mkdirSync(bundle);
    writeFileSync(join(bundle, "config.json"), JSON.stringify(config));
    const container = new GuestContainer(this, id, config.linux.cgroupsPath ?? "");
    this.#containers.push(container);
    return container;
  }

  /** A container whose program is a line of shell and whose resources are these. */
  limited(
    script: string,
    resources: Record<string, unknown>,
    mutate: (config: Config) => void = () => undefined,
  ): GuestContainer {
    return this.container((config) => {
      config.process.args = ["sh", "-c", script];
      config.linux.resources = { ...config.linux.resources, ...resources };
      mutate(config);
    });
  }

  /** One command of the runtime. The words are quoted; `redirect` is not. */
  invoke(args: readonly string[], redirect = ""): Promise<Result> {
    return this.guest.run(this.command(args, redirect));
  }

  /** The command as a line of shell; the PATH is the host's, since programs that runtimes call must not be busybox's. */
  command(args: readonly string[], redirect = ""): string {
    const asUser = this.guest.kernel.systemd ? SESSION : AS_USER;
    const wrapper = [...(this.asUser ? asUser : []), ...this.wrapper];
    const words = [...wrapper, this.#path, "--root", this.stateRoot, ...this.globals, ...args].map(
      (word) => `'${word.replaceAll("'", "'\\''")}'`,
    );
    return `PATH=${PATH} ${words.join(" ")} ${redirect}`;
  }

  /** The operation failed as it should; `ofRunts` are words that only runts has to say. */
  expectRefusal(result: Result, words: RegExp, ofRunts: RegExp = words, code = 1): void {
    expectRefusal(result, this.isRunts ? ofRunts : words, code, this.isRunts);
  }

  async open(): Promise<void> {
    const { systemd } = this.guest.kernel;
    const own = `/run/user/${GUEST_USER}`;
    const prepare = `mkdir -p ${own}; chown ${GUEST_USER}:${GUEST_USER} ${own}; ${DISABLE_CONTROLLERS}`;
    await this.guest.output(`mkdir -p ${this.stateRoot}; ${systemd ? "true" : prepare}`);
  }

  /** Deletes what is left, and tells what that leaves. */
  async close(): Promise<string> {
    let refusals = "";
    for (const { id } of this.#containers.toReversed()) {
      const deletion = `[ ! -e ${this.stateRoot}/${id} ] || ${this.command(["delete", "--force", id])}`;
      let { code, stderr } = await this.guest.run(deletion);
      if (code > 128) {
        // A signal has ended the emulated engine: that is told, and is no answer of the runtime's. A refusal is one.
        process.stdout.write(`delete ${id}: ${code}: ${stderr}, and so once more\n`);
        ({ code, stderr } = await this.guest.run(deletion));
      }
      if (code !== 0) refusals += `delete ${id}: ${code}: ${stderr}`;
    }
    // systemd has its own cgroups.
    const own = this.guest.kernel.systemd ? `-name '*${this.tag}-*'` : "";
    // runc and crun keep other things than containers in the state's folder.
    const left = await this.guest.output(
      `find ${CGROUPS} -mindepth 1 -depth -type d | grep ${this.tag} || true; ls -d ${this.stateRoot}/${this.tag}-* 2>/dev/null || true; ` +
        `${this.guest.kernel.systemd ? `${listUnits(this.tag)}; ` : ""}` +
        `find ${CGROUPS} -mindepth 1 -depth -type d ${own} -exec sh -c 'echo 1 > {}/cgroup.kill; sleep 0.1; rmdir {}' ';' || true`,
    );
    return left === "" ? "" : refusals + left;
  }

  /** The folder of the runtime's records. */
  get stateRoot(): string {
    return this.asUser ? `/run/user/${GUEST_USER}/state-${this.runtime}` : `/run/state-${this.runtime}`;
  }
}

/** Units of both managers with the tag in their names. */
function listUnits(tag: string): string {
  const list = `list-units --all --plain --no-legend '*${tag}-*'`;
  return `systemctl ${list}; ${USER_SYSTEMCTL} ${list}`;
}

/** slice:prefix:name of systemd, or a path. */
function cgroupDirectory(cgroupsPath: string, asUser: boolean): string {
  const [slice = "", prefix, name] = cgroupsPath.split(":");
  if (name === undefined) return `${CGROUPS}${cgroupsPath}`;
  const manager = asUser ? `/user.slice/user-${GUEST_USER}.slice/user@${GUEST_USER}.service` : "";
  return `${CGROUPS}${manager}/${slice}/${prefix}-${name}.scope`;
}

/**
 * A line of shell that runs a command under a label of AppArmor or SELinux. Not written by echo, whose line end may be another
 * write(2).
 */
export function underLabel(label: string, command: string): string {
  return `printf %s '${label}' > /proc/self/attr/exec; exec env ${command}`;
}

/** A container in a guest, with the runtime's commands and its cgroup's files as methods. */
export class GuestContainer {
  readonly id: string;
  /** The cgroup's directory. */
  readonly cgroup: string;
  readonly #sandbox: GuestSandbox;

  constructor(sandbox: GuestSandbox, id: string, cgroupsPath: string) {
    this.#sandbox = sandbox;
    this.id = id;
    this.cgroup = cgroupDirectory(cgroupsPath, sandbox.asUser);
  }

  create(...flags: readonly string[]): Promise<Result> {
    // The container's output goes to a file: nobody may wait for its end, and tests read it later.
    return this.#sandbox.invoke(["create", "--bundle", this.bundle, ...flags, this.id], `> ${this.#printed}`);
  }

  async created(): Promise<void> {
    succeed("create", await this.create());
  }

  async started(): Promise<void> {
    await this.created();
    succeed("start", await this.#sandbox.invoke(["start", this.id]));
  }

  run(...flags: readonly string[]): Promise<Result> {
    return this.#sandbox.invoke(["run", "--bundle", this.bundle, ...flags, this.id]);
  }

  /** Runs the container to its end and returns the program's output. */
  async output(): Promise<string> {
    return succeed("run", await this.run()).stdout.trimEnd();
  }

  command(name: string, ...flags: readonly string[]): Promise<Result> {
    return this.#sandbox.invoke([name, ...flags, this.id]);
  }

  exec(...command: readonly string[]): Promise<Result> {
    return this.#sandbox.invoke(["exec", this.id, ...command]);
  }

  /** `update` with flags, which has to succeed. */
  async updated(...flags: readonly string[]): Promise<void> {
    succeed("update", await this.command("update", ...flags));
  }

  /** `update --resources` with these. */
  update(resources: Record<string, unknown>): Promise<Result> {
    const { guest } = this.#sandbox;
    const command = this.#sandbox.command(["update", "--resources", "-", this.id]);
    return guest.run(`printf '%s' '${JSON.stringify(resources)}' | ${command}`);
  }

  /** Files of the cgroup, one line each. */
  files(...names: readonly string[]): Promise<string> {
    return this.#sandbox.guest.output(`cd ${this.cgroup} && cat ${names.join(" ")}`);
  }

  /** A number of a file with lines of `KEY NUMBER`. */
  async count(file: string, key: string): Promise<number> {
    const line = (await this.files(file)).split("\n").find((text) => text.startsWith(`${key} `));
    return Number(line?.split(" ")[1]);
  }

  /** Waits until the program's output since `create` matches, and returns the lines that do. */
  printed(pattern: string): Promise<string> {
    const { guest } = this.#sandbox;
    return guest.output(`until grep -E '${pattern}' ${this.#printed}; do sleep 0.2; done`);
  }

  async status(): Promise<string> {
    const { stdout } = succeed("state", await this.command("state"));
    return /"status": "(\w+)"/.exec(stdout)?.[1] ?? "";
  }

  get bundle(): string {
    return `/run/exchange/${this.id}`;
  }

  get #printed(): string {
    return `/run/outputs/${this.id}.printed`;
  }
}
