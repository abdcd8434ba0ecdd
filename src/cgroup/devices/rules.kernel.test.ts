import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { DeviceRule } from "../../spec/types.ts";
import { createCgroup } from "../create.ts";
import { freshCgroup, skipReason, startMember } from "../kernel.test-support.ts";
import { removeCgroup } from "../remove.ts";
import { applyDeviceRules } from "./rules.ts";

const options = { rootless: false, isNew: false, warn: (message: string) => expect.fail(message) };

describe.skipIf(skipReason !== false)(
  `devices${skipReason === false ? "" : ` (skipped: ${skipReason})`}`,
  () => {
    let directory = "";
    let nodes = "";

    beforeEach(() => {
      directory = freshCgroup();
      createCgroup(directory, undefined, options);
      nodes = mkdtempSync(join(tmpdir(), "runts-nodes-"));
    });

    afterEach(() => {
      removeCgroup(directory);
      rmSync(nodes, { recursive: true });
    });

    /** Whether a shell command succeeds in the cgroup under these rules. */
    async function attempt(rules: readonly DeviceRule[] | undefined, command: string): Promise<boolean> {
      applyDeviceRules(directory, rules, options);
      const member = startMember(directory);
      return (await member.run(`cd ${nodes} && ${command}`)) === 0;
    }

    test("the default rules apply without any rule", async () => {
      expect(await attempt(undefined, "head -c1 /dev/zero && echo > /dev/null")).toBe(true);
      expect(await attempt(undefined, "mknod kmsg c 1 11 && test -e kmsg")).toBe(true);
      expect(await attempt(undefined, "head -c1 kmsg")).toBe(false);
      expect(await attempt(undefined, "mknod mem c 1 1; head -c1 mem")).toBe(false);
    });

    test("a later program replaces the earlier one", async () => {
      const zero: DeviceRule = { allow: true, type: "c", major: 1n, minor: 11n, access: "w" };
      expect(await attempt(undefined, "mknod kmsg c 1 11 && exec 3>>kmsg")).toBe(false);
      expect(await attempt([zero], "exec 3>>kmsg")).toBe(true);
      expect(await attempt([zero], "exec 3<>kmsg")).toBe(false);
      expect(await attempt([{ ...zero, access: "r" }, zero], "exec 3<>kmsg")).toBe(true);
      expect(await attempt([zero, { allow: false, access: "rwm" }], "exec 3>>kmsg")).toBe(false);
      expect(await attempt([{ allow: true, access: "rwm" }], "exec 3<>kmsg")).toBe(true);
      expect(existsSync(join(nodes, "kmsg"))).toBe(true);
    });

    test("the verifier accepts long lists of rules", () => {
      const rules = Array.from({ length: 2000 }, (_, index): DeviceRule => {
        const access = ["r", "rw", "w", "rwm", "m"][index % 5] ?? "r";
        return {
          allow: index % 7 !== 0,
          type: index % 3 === 0 ? "b" : "c",
          major: BigInt(index % 300),
          minor: BigInt(index),
          access,
        };
      });
      expect(() => applyDeviceRules(directory, rules, options)).not.toThrow();
    });

    test("a cgroup that is gone is an error", () => {
      removeCgroup(directory);
      expect(() => applyDeviceRules(directory, undefined, options)).toThrow("ENOENT");
    });
  },
);
