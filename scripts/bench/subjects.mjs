/** The runtimes that are compared. */
import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { unpackedForkyPeers } from "../forky-peers.mjs";
import { runtime, which } from "../machine.mjs";
import { start, succeed, time, timeTail, wait } from "./processes.mjs";

/** Forces the start of a new engine, whether or not there is an image of a warm one. */
const cold = { RUNTS_COLD: "1" };

/** One runtime with a state directory of its own, and ids that nobody else has. */
export class Subject {
  #number = 0;
  #env;
  #state;

  constructor({ name, path, env = {} }, directory) {
    this.name = name;
    this.path = path;
    this.pidFile = join(directory, `${name}.pid`);
    this.#env = env;
    this.#state = join(directory, `state-${name}`);
  }

  /** One command, for what starts and times it. */
  command(...args) {
    return { argv: [this.path, "--root", this.#state, ...args], env: this.#env };
  }

  newId() {
    this.#number += 1;
    return `bench-${process.pid}-${this.name}-${this.#number}`;
  }

  /** In ms. */
  version() {
    return time({ argv: [this.path, "--version"], env: this.#env }).ms;
  }

  /** With the CPU time, as `time`. That of a process that the runtime leaves behind does not count. */
  run(bundle) {
    return time(this.command("run", "--bundle", bundle, this.newId()));
  }

  create(bundle) {
    const id = this.newId();
    return { id, ...time(this.command("create", "--bundle", bundle, "--pid-file", this.pidFile, id)) };
  }

  /** A command that acts on a container, with the CPU time. */
  actWithCpu(...words) {
    return time(this.command(...words));
  }

  /** The same, in ms. */
  act(...words) {
    return this.actWithCpu(...words).ms;
  }

  /** From the last byte of the output of `exec` to its end. */
  execTail(id) {
    return timeTail(this.command("exec", id, "/bin/echo", "x"));
  }

  /** Ids of the containers that there are. */
  list() {
    return succeed(this.command("list", "--quiet")).split("\n").filter(Boolean);
  }

  /** Removes whatever containers there are. */
  clear() {
    if (!existsSync(this.#state)) return;
    for (const id of this.list()) succeed(this.command("delete", "--force", id));
  }
}

/** runts started cold, and as it is installed; this machine's runtimes; and Debian forky's, where they have been unpacked. */
export function allSubjects(directory) {
  const forky = unpackedForkyPeers()?.runtimes;
  return [
    { name: "cold", path: runtime, env: cold },
    { name: "warm", path: runtime },
    { name: "crun", path: which("crun") },
    { name: "runc", path: which("runc") },
    ...(forky ? ["crun", "runc"].map((name) => ({ name: `forky-${name}`, path: forky[name] })) : []),
  ].map((options) => new Subject(options, directory));
}

/**
 * Paths of the runtimes for an engine, which does not pass on the variable that forces a cold start: the cold one is a copy of the
 * installation without an image.
 */
export function pathsForEngines(directory) {
  const copy = join(directory, "cold");
  mkdirSync(copy);
  for (const entry of readdirSync(dirname(runtime), { withFileTypes: true }))
    if (entry.isFile() && !entry.name.startsWith("runts-warm"))
      copyFileSync(join(dirname(runtime), entry.name), join(copy, entry.name));
  return { cold: join(copy, "runts"), warm: runtime, crun: which("crun"), runc: which("runc") };
}

/** Whether the next start of runts is warm, by its own word, under the same conditions as a measured command. */
export function isWarm() {
  return wait(start({ argv: [runtime, "warm", "--check"] })).code === 0;
}

/** The version that a runtime tells, as "crun 1.21"; the empty string of none. */
export function versionOf(path) {
  const { stdout } = spawnSync(path, ["--version"], { encoding: "utf8" });
  return (
    /^(\S+ )version (\d+(?:\.\d+)*)/
      .exec(stdout ?? "")
      ?.slice(1)
      .join("") ?? ""
  );
}
