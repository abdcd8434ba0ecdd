import { readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { defaultConfig } from "../harness/config.ts";
import { recordedNames } from "../harness/engines/recorded.ts";
import { asObject } from "../harness/json.ts";

/**
 * The valid configs that are mutated: those that engines wrote and the default one of these tests, without files and namespaces that only
 * exist on the engine's host. Numbers beyond 2^53 are marked strings, which `toText` turns back into numbers.
 */
export function bases(): Record<string, unknown>[] {
  const folder = join(import.meta.dirname, "../configs");
  const recorded = recordedNames().map((name) => {
    const text = readFileSync(join(folder, `${name}.json`), "utf8");
    return asObject(JSON.parse(text.replaceAll(/(:\s*)(\d{16,})/g, '$1"exact:$2"')));
  });
  return [asObject(JSON.parse(JSON.stringify(defaultConfig()))), ...recorded].map(adapted);
}

export function toText(config: unknown): string {
  return JSON.stringify(config).replaceAll(/"exact:([-\deE.]+)"/g, "$1");
}

function adapted(config: Record<string, unknown>): Record<string, unknown> {
  const { hooks: _hooks, ...rest } = config;
  const { rlimits: _rlimits, terminal: _terminal, ...process } = asObject(config.process);
  const linux = asObject(config.linux);
  const { devices } = asObject(linux.resources ?? {});
  return {
    ...rest,
    root: { ...asObject(config.root), path: "/rootfs" },
    process: { ...process, args: ["sleep", "1000"] },
    mounts: list(config.mounts).map(withSource),
    linux: {
      ...linux,
      namespaces: list(linux.namespaces).map((entry) => ({ type: asObject(entry).type })),
      cgroupsPath: "/box",
      resources: devices === undefined ? {} : { devices },
    },
  };
}

/** A source in the engine's own folders gets a stand-in of the same kind. */
function withSource(entry: unknown): Record<string, unknown> {
  const mount = asObject(entry);
  const source = String(mount.source ?? "");
  if (!source.startsWith("/var/") && !source.startsWith("/run/")) return mount;
  const isFolder = ["shm", "_data"].includes(basename(source));
  return { ...mount, source: isFolder ? "/rootfs/tmp" : "/rootfs/etc/passwd" };
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
