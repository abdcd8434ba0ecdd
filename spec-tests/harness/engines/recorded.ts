import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import type { Container } from "../container.ts";
import { hostControllers } from "../host/host-controllers.ts";
import { asObject } from "../json.ts";
import { giveRootfsTo } from "../rootfs.ts";
import type { Sandbox } from "../sandbox.ts";

const FOLDER = join(import.meta.dirname, "../../configs");

/** Names of the config.json files that engines wrote, without the ending. */
export function recordedNames(): string[] {
  return readdirSync(FOLDER)
    .filter((name) => name.endsWith(".json"))
    .map((name) => basename(name, ".json"))
    .sort();
}

/** The config as the engine wrote it. Numbers beyond 2^53 become marked strings, which `writeRecorded` turns back. */
function readRecorded(name: string): Record<string, unknown> {
  const text = readFileSync(join(FOLDER, `${name}.json`), "utf8");
  return asObject(JSON.parse(text.replaceAll(/(:\s*)(\d{16,})/g, '$1"exact:$2"')));
}

function writeRecorded(config: Record<string, unknown>): string {
  return JSON.stringify(config).replaceAll(/"exact:(\d+)"/g, "$1");
}

/**
 * Puts a recorded config into the container's bundle, changed only where it names what was on the engine's host: the rootfs, the
 * program, sources of bind mounts, namespaces by path, hooks, and limits beyond those of this machine. Says whether it has a
 * terminal.
 */
export function useRecorded(
  sandbox: Sandbox,
  container: Container,
  name: string,
  script: string,
): { terminal: boolean } {
  const config = readRecorded(name);
  const process = asObject(config.process);
  const linux = asObject(config.linux);
  config.root = { ...asObject(config.root), path: "rootfs" };
  process.args = ["/bin/sh", "-c", script];
  process.rlimits = list(process.rlimits).map(withinHardLimit);
  config.process = process;
  config.mounts = list(config.mounts).map((mount, index) => withSource(container, asObject(mount), index));
  if (config.hooks !== undefined) config.hooks = replaceHooks(asObject(config.hooks));
  linux.namespaces = list(linux.namespaces).map((entry, index) =>
    withNamespace(sandbox, asObject(entry), index),
  );
  if (linux.cgroupsPath !== undefined) linux.cgroupsPath = `/${container.id}`;
  linux.resources = withinControllers(asObject(linux.resources ?? {}));
  config.linux = linux;
  giveToMappedRoot(container, linux);
  container.writeConfig(writeRecorded(config));
  sandbox.settle();
  return { terminal: process.terminal === true };
}

function list(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

/** Raising a hard limit needs CAP_SYS_RESOURCE, which not every machine gives to root. */
function withinHardLimit(entry: unknown): Record<string, unknown> {
  const limit = asObject(entry);
  const flag: Record<string, string> = { RLIMIT_NOFILE: "-n", RLIMIT_NPROC: "-u", RLIMIT_CORE: "-c" };
  const option = flag[String(limit.type)];
  if (option === undefined) return limit;
  const current = execFileSync("bash", ["-c", `ulimit -H ${option}`], { encoding: "utf8" }).trim();
  if (current === "unlimited") return limit;
  const lower = (value: unknown): number =>
    Math.min(Number(String(value).replace("exact:", "")), Number(current));
  return { ...limit, soft: lower(limit.soft), hard: lower(limit.hard) };
}

/** A source that lay in the engine's own folders gets a stand-in of the same kind in the bundle. */
function withSource(
  container: Container,
  mount: Record<string, unknown>,
  index: number,
): Record<string, unknown> {
  const source = String(mount.source ?? "");
  if (!source.startsWith("/var/") && !source.startsWith("/run/")) return mount;
  const stand = join(container.bundle, `source-${index}`);
  const kind = basename(source);
  if (kind === "shm" || kind === "_data") mkdirSync(stand);
  else writeFileSync(stand, `stand-in for ${kind}\n`);
  return { ...mount, source: stand };
}

function replaceHooks(hooks: Record<string, unknown>): Record<string, unknown> {
  const hook = { path: "/bin/sh", args: ["sh", "-c", 'grep -q "pid"'] };
  return Object.fromEntries(
    Object.entries(hooks).map(([kind, entries]) => [kind, list(entries).map(() => hook)]),
  );
}

function withNamespace(
  sandbox: Sandbox,
  entry: Record<string, unknown>,
  index: number,
): Record<string, unknown> {
  if (entry.path === undefined) return entry;
  const path = sandbox.path(`namespace-${index}`);
  const flags: Record<string, string> = { network: "--net", ipc: "--ipc", uts: "--uts" };
  writeFileSync(path, "");
  execFileSync("unshare", [`${flags[String(entry.type)] ?? ""}=${path}`, "true"]);
  sandbox.atEnd(() => void execFileSync("umount", [path]));
  return { ...entry, path };
}

/** Takes out the limits whose controller this machine lacks: what is left must be set. */
function withinControllers(resources: Record<string, unknown>): Record<string, unknown> {
  const present = hostControllers();
  const controllers: Record<string, string> = { memory: "memory", cpu: "cpu", pids: "pids", blockIO: "io" };
  const kept = Object.entries(resources).filter(([name, value]) => {
    const controller = controllers[name];
    return (
      controller === undefined || present.includes(controller) || Object.keys(asObject(value)).length === 0
    );
  });
  return Object.fromEntries(kept);
}

function giveToMappedRoot(container: Container, linux: Record<string, unknown>): void {
  const hostId = (mappings: unknown): number | undefined => {
    const root = list(mappings)
      .map(asObject)
      .find((mapping) => mapping.containerID === 0);
    return root === undefined ? undefined : Number(root.hostID);
  };
  const [uid, gid] = [hostId(linux.uidMappings), hostId(linux.gidMappings)];
  if (uid !== undefined && gid !== undefined) giveRootfsTo(container.rootfs, { uid, gid });
}
