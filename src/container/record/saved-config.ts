import { renameSync, writeFileSync } from "../../../bindings/linux/files.ts";
import { toJson } from "../../spec/json/writer.ts";
import type { Config } from "../../spec/types.ts";

/** Replaces the config of a container for later commands: a reader sees the old one or the new one. */
export function replaceConfig(directory: string, config: Config): void {
  const temporary = `${directory}/config.json.new`;
  writeFileSync(temporary, toJson(config), { mode: 0o600 });
  renameSync(temporary, `${directory}/config.json`);
}
