import { type ChildProcess, spawn } from "node:child_process";
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { archiveBaseRootfs } from "../rootfs.ts";
import { PATH, type Result, RUNTIME } from "../runtime.ts";
import type { Machine } from "../systemd/systemd.ts";
import { type Check, type CommandOptions, type Engine, engineTests, lines, runCommand } from "./engine.ts";

/** A dockerd with its own storage, state, network and settings, and an image made of the tests' rootfs: no registry is asked. */
export interface Docker extends Engine {
  readonly directory: string;
  /** The first number of the daemon's version. */
  readonly major: number;
  /** One command of the client. */
  call(...args: readonly string[]): Promise<Result>;
  /** The same on a terminal: on-terminal.py. */
  onTerminal(...args: readonly string[]): Promise<Result>;
  /** A command where the daemon is: in its network and mount namespaces. */
  beside(...command: readonly string[]): Promise<Result>;
  /** Runs the client with other variables, working directory or input. */
  client(args: readonly string[], options: CommandOptions): Promise<Result>;
  /** Ends the daemon and starts it again. */
  restart(): Promise<void>;
  /** Files of /sys/fs/cgroup/<the containers' parent>/<id>. */
  cgroup(id: string): string;
}

export interface DockerOptions {
  /** Settings of daemon.json beside those that keep the daemon apart from others. */
  readonly settings?: Readonly<Record<string, unknown>>;
  /** Files of /etc that the daemon shall see with other contents. */
  readonly etc?: Readonly<Record<string, string>>;
  /** Further runtimes: programs that call the one under test. */
  readonly runtimes?: Readonly<Record<string, string>>;
  /** A systemd that the daemon runs below, as a service. */
  readonly machine?: Machine;
}

export const IMAGE = "spec-test";

/** What the runtimes have as `--root`, in the daemon's folder. It has this name whatever the runtime is called. */
export const RUNTIME_ROOT = "run/runtime-runc/moby";

/**
 * The daemon gets its own namespaces, which stay when it is started again: its bridges and firewall rules stay out of the
 * machine's network, and its mounts are shared among each other, as they are where systemd is init. A tmpfs takes what
 * containerd's shims put into /run whatever they are told.
 */
const NAMESPACES = `set -eu
directory=$1
mount --make-rshared /
mkdir -p /run/containerd
mount -t tmpfs tmpfs /run/containerd
for file in "$directory"/etc/*; do
  [ ! -e "$file" ] || mount --bind "$file" "/etc/$(basename "$file")"
done
ip link set lo up
echo 1 > /proc/sys/net/ipv4/ip_forward
touch "$directory/ready"
exec sleep infinity`;

/** The tests of one file share one dockerd. */
export function dockerTests(options: DockerOptions = {}, who = "docker"): Check<Docker> {
  const programs = { dockerd: "docker.io", docker: "docker-cli" };
  return engineTests({ who, programs, open: () => openDocker(options) });
}

export async function openDocker(options: DockerOptions = {}): Promise<Docker> {
  const directory = mkdtempSync(join(tmpdir(), "rspec-docker-"));
  const parent = `/${basename(directory)}`;
  prepareFolder(directory, parent, options);
  const client = clientIn(directory);
  const call = (...args: readonly string[]): Promise<Result> => client(args);
  const daemon = new Daemon(directory, options.machine, async () => (await call("version")).code === 0);
  try {
    await daemon.start();
  } catch (error) {
    await daemon.close();
    rmSync(directory, { recursive: true, force: true });
    throw error;
  }
  const imported = await call("import", "--change", 'CMD ["sh"]', archiveBaseRootfs(directory), IMAGE);
  if (imported.code !== 0) throw new Error(`docker import failed: ${imported.stderr}\n${daemon.log()}`);
  const version = (await call("version", "--format", "{{.Server.Version}}")).stdout;

  const clear = async (): Promise<void> => {
    const ids = lines((await call("ps", "--all", "--quiet")).stdout);
    if (ids.length > 0) await call("rm", "--force", "--volumes", ...ids);
    await call("volume", "prune", "--all", "--force");
    await call("network", "prune", "--force");
  };
  return {
    directory,
    major: Number.parseInt(version, 10),
    call,
    client,
    onTerminal: (...args) =>
      client(args, { env: { TERM: "xterm" } }, [
        "python3",
        join(import.meta.dirname, "../helpers/on-terminal.py"),
      ]),
    beside: (...command) => runCommand(["nsenter", ...daemon.entry(), ...command]),
    restart: async () => {
      await daemon.stop();
      await daemon.start();
    },
    cgroup: (id) => join("/sys/fs/cgroup", parent, id),
    left: async () => [
      ...lines((await call("ps", "--all", "--quiet", "--no-trunc")).stdout),
      ...lines((await call("volume", "ls", "--quiet")).stdout).map((name) => `volume ${name}`),
      ...states(join(directory, RUNTIME_ROOT)).map((id) => `state ${id}`),
      ...containerCgroups(join("/sys/fs/cgroup", parent)).map((id) => `cgroup ${id}`),
    ],
    clear,
    close: async () => {
      await clear();
      await daemon.close();
      await runCommand(["sh", "-c", `find /sys/fs/cgroup${parent} -depth -type d -exec rmdir {} +`]);
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** Makes what a daemon and its clients find in the folder when they start. */
export function prepareFolder(directory: string, parent: string, options: DockerOptions): void {
  const { settings = {}, etc = {}, runtimes = {} } = options;
  chmodSync(directory, 0o755); // containers in user namespaces reach their rootfs through it
  for (const folder of ["bin", "etc", "client"]) mkdirSync(join(directory, folder));
  // BuildKit takes the program "runc" of PATH, whatever the settings say.
  symlinkSync(RUNTIME, join(directory, "bin/runc"));
  for (const [name, text] of Object.entries(etc)) writeFileSync(join(directory, "etc", name), text);
  const paths: Record<string, { path: string }> = { tested: { path: RUNTIME } };
  for (const [name, program] of Object.entries(runtimes)) {
    const path = join(directory, "bin", name);
    writeFileSync(path, program, { mode: 0o755 });
    paths[name] = { path };
  }
  const all = { ...ownSettings(directory, parent), runtimes: paths, ...settings };
  writeFileSync(join(directory, "daemon.json"), JSON.stringify(all));
}

/** Runs the client with its own settings; `before` is a command that it runs below. */
export function clientIn(directory: string) {
  return (args: readonly string[], options: CommandOptions = {}, before: readonly string[] = []) =>
    runCommand([...before, "docker", ...args], {
      ...options,
      env: {
        HOME: join(directory, "client"),
        DOCKER_HOST: `unix://${directory}/socket`,
        DOCKER_CONFIG: join(directory, "client"),
        ...options.env,
      },
    });
}

/** The runtime is the default; all that dockerd writes stays in the folder. */
function ownSettings(directory: string, parent: string): Record<string, unknown> {
  return {
    "data-root": join(directory, "data"),
    "exec-root": join(directory, "run"),
    pidfile: join(directory, "pid"),
    hosts: [`unix://${directory}/socket`],
    "exec-opts": ["native.cgroupdriver=cgroupfs"],
    "cgroup-parent": parent,
    "default-runtime": "tested",
  };
}

/** dockerd, and the process that holds the namespaces which it and the containers run in. */
class Daemon {
  readonly #directory: string;
  readonly #machine: Machine | undefined;
  readonly #answers: () => Promise<boolean>;
  #process: ChildProcess | undefined;
  #namespaces: ChildProcess | undefined;

  constructor(directory: string, machine: Machine | undefined, answers: () => Promise<boolean>) {
    this.#directory = directory;
    this.#machine = machine;
    this.#answers = answers;
  }

  async start(): Promise<void> {
    await this.#makeNamespaces();
    const words = [...this.entry(), "dockerd", "--config-file", join(this.#directory, "daemon.json")];
    this.#process = this.#spawn("nsenter", words);
    await this.#until(this.#answers, this.#process, "dockerd does not answer");
  }

  /** Options of nsenter(1). */
  entry(): readonly string[] {
    const pid = this.#namespaces?.pid;
    if (this.#machine === undefined) return ["--target", String(pid), "--net", "--mount"];
    // nsenter has entered the machine's pid namespace by a child.
    const child = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
    return ["--target", child, "--net", "--mount", "--pid", "--cgroup"];
  }

  log(): string {
    return readFileSync(join(this.#directory, "log"), "utf8").slice(-4000);
  }

  async stop(): Promise<void> {
    await end(this.#process);
  }

  async close(): Promise<void> {
    await this.stop();
    await end(this.#namespaces);
  }

  async #makeNamespaces(): Promise<void> {
    if (this.#namespaces !== undefined) return;
    const words = [
      "--net",
      "--mount",
      "--propagation",
      "private",
      "sh",
      "-c",
      NAMESPACES,
      "sh",
      this.#directory,
    ];
    const [program = "", ...rest] = [...(this.#machine?.wrapper ?? []), "unshare", ...words];
    this.#namespaces = this.#spawn(program, rest);
    const ready = async () => existsSync(join(this.#directory, "ready"));
    await this.#until(ready, this.#namespaces, "no namespaces for dockerd");
  }

  #spawn(program: string, words: readonly string[]): ChildProcess {
    const log = openSync(join(this.#directory, "log"), "a");
    const env = { PATH: `${this.#directory}/bin:${PATH}`, HOME: join(this.#directory, "client") };
    const child = spawn(program, words, { stdio: ["ignore", log, log], env });
    closeSync(log);
    return child;
  }

  async #until(done: () => Promise<boolean>, child: ChildProcess, complaint: string): Promise<void> {
    for (let tries = 0; tries < 300; tries++) {
      if (await done()) return;
      if (child.exitCode !== null) break;
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    throw new Error(`${complaint}:\n${this.log()}`);
  }
}

/** Asks a process to end, and then makes it. */
export async function end(child: ChildProcess | undefined): Promise<void> {
  if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGTERM");
  const impatience = setTimeout(() => child.kill("SIGKILL"), 60_000);
  await ended;
  clearTimeout(impatience);
}

/** Containers that the runtime has not forgotten, by its state root. It may keep other things there, such as compiled filters. */
export function states(runtimeRoot: string): string[] {
  return folders(runtimeRoot).filter((name) => /^[0-9a-f]{64}$/.test(name));
}

/** BuildKit keeps its own folder; what a build step had has to be gone. */
export function containerCgroups(parent: string): string[] {
  const others = folders(parent).filter((name) => name !== "buildkit");
  return [...others, ...folders(join(parent, "buildkit"))];
}

function folders(path: string): string[] {
  if (!existsSync(path)) return [];
  return readdirSync(path, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name);
}
