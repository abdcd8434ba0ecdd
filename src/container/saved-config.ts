import { renameSync, writeFileSync } from "node:fs";
import { isObject } from "../spec/json-reader.ts";
import type { Config } from "../spec/types.ts";

/** Replaces the config of a container for later commands: a reader sees the old one or the new one. */
export function replaceConfig(directory: string, config: Config): void {
  const temporary = `${directory}/config.json.new`;
  writeFileSync(temporary, toJson(config), { mode: 0o600 });
  renameSync(temporary, `${directory}/config.json`);
}

/** JSON.stringify refuses the 64-bit integers of a config. */
function toJson(value: unknown): string {
  if (typeof value === "bigint") return String(value);
  if (Array.isArray(value)) return `[${value.map(toJson).join(",")}]`;
  if (!isObject(value)) return JSON.stringify(value);
  const members = Object.entries(value).filter(([, member]) => member !== undefined);
  return `{${members.map(([name, member]) => `${JSON.stringify(name)}:${toJson(member)}`).join(",")}}`;
}
