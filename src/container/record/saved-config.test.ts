import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { readConfig, readValidConfig } from "../../spec/config.ts";
import { replaceConfig } from "./saved-config.ts";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "runts-config-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

it("keeps everything: wide integers, annotations and properties that nobody knows", () => {
  writeFileSync(
    join(directory, "config.json"),
    `{ "ociVersion": "1.2.0", "root": { "path": "r\\"\\u00e9" }, "process": { "cwd": "/", "args": ["a", ""] },
      "annotations": { "b": "2" }, "future": [1.5, 18446744073709551615, true, {}],
      "linux": { "resources": { "hugepageLimits": [{ "pageSize": "2MB", "limit": 18446744073709551615 }],
        "memory": { "limit": -1, "disableOOMKiller": false } } } }`,
  );
  const before = readConfig(directory);
  replaceConfig(directory, before);
  expect(readConfig(directory)).toEqual(before);
  expect(readValidConfig(directory)).toEqual(before);
  expect(before.linux?.resources?.hugepageLimits?.[0]?.limit).toBe(0xffffffffffffffffn);
  expect(readdirSync(directory)).toEqual(["config.json"]);
});
