import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import type { Container } from "../harness/container.ts";
import { parseObject } from "../harness/json.ts";
import { IS_RUNTS } from "../harness/runtime.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";
import { commandsOn, stateFile } from "../harness/state-record.ts";

/** The newest format that this version writes: that of a container with devices that `devices add` has added. */
const KNOWN = 2;

/** Records of containers that older and newer versions of runts have made. */

const CLAUSE = "promise: containers outlive an upgrade, and a downgrade harms none";

const RECORDED = readFileSync(join(import.meta.dirname, "recorded/state-0.1.0.json"), "utf8");

function readRecord(sandbox: Sandbox, container: Container): Record<string, unknown> {
  return parseObject(readFileSync(stateFile(sandbox, container), "utf8"));
}

function writeRecord(sandbox: Sandbox, container: Container, record: Record<string, unknown>): void {
  writeFileSync(stateFile(sandbox, container), JSON.stringify(record));
}

/** Leaves the container's record as 0.1.0 would have written it: with the properties of the recorded one. */
function age(sandbox: Sandbox, container: Container): void {
  const record = readRecord(sandbox, container);
  const older = Object.keys(parseObject(RECORDED)).map((name) => [name, record[name]]);
  writeRecord(sandbox, container, Object.fromEntries(older));
}

if (IS_RUNTS) {
  spec(
    "start, list, exec, ps, pause, resume, events, kill, delete, state.json as 0.1.0 wrote it: they work",
    CLAUSE,
    async (sandbox) => {
      const container = sandbox.shell("sleep 1000", (config) => {
        config.hooks = { poststop: [{ path: "/bin/touch", args: ["touch", sandbox.path("poststop")] }] };
      });
      await container.created();
      age(sandbox, container);
      expect((await container.start()).code).toBe(0);
      age(sandbox, container);
      const { pid } = await container.state();
      expect((await sandbox.invoke(["list", "--quiet"])).stdout).toBe(`${container.id}\n`);
      expect((await container.exec(["echo", "from inside"])).stdout).toBe("from inside\n");
      expect((await sandbox.invoke(["ps", "--format", "json", container.id])).stdout).toBe(`[${pid}]\n`);
      expect((await sandbox.invoke(["pause", container.id])).code).toBe(0);
      expect((await container.state()).status).toBe("paused");
      expect((await sandbox.invoke(["resume", container.id])).code).toBe(0);
      expect((await sandbox.invoke(["events", "--stats", container.id])).code).toBe(0);
      expect((await container.kill("KILL")).code).toBe(0);
      await container.until("stopped");
      const { code, stderr } = await container.delete();
      expect([code, stderr]).toEqual([0, ""]);
      expect(readFileSync(sandbox.path("poststop"), "utf8")).toBe("");
      expect(await sandbox.traces()).toEqual([]);
    },
  );

  spec(
    "commands on a container, state.json of a newer format: one error with both versions, and nothing changes; list shows the others",
    CLAUSE,
    async (sandbox) => {
      const container = sandbox.shell("sleep 1000");
      const other = sandbox.shell("sleep 1000");
      await container.started();
      await other.created();
      const present = readRecord(sandbox, container);
      const newer = { ...present, formatVersion: KNOWN + 1, writtenBy: "9.0.0" };
      writeRecord(sandbox, container, newer);
      const { pid } = present;
      const { id } = container;
      const refusal = new RegExp(
        `${stateFile(sandbox, container)} has format ${newer.formatVersion}, written by runts 9\\.0\\.0; this is runts ` +
          `\\S+, which knows formats up to ${KNOWN}: install the newer version, or delete the container with it\n$`,
      );
      const commands = [
        ...commandsOn(container),
        ["checkpoint", "--image-path", sandbox.path("image"), id],
        ["mounts", "list", id],
        ["devices", "add", id, "/dev/null"],
        ["doctor", id],
        ["delete", "--force", id],
      ];
      for (const args of commands) {
        const result = await sandbox.invoke(args);
        const shown = `${args.join(" ")}: ${result.stdout}${result.stderr}`;
        expect(result.code, shown).not.toBe(0);
        expect(result.stderr, shown).toMatch(refusal);
        expect(result.stderr, shown).toMatch(/^runts: [^\n]+\n$/);
      }
      const again = await sandbox.invoke(["create", "--bundle", container.bundle, id]);
      expect(again.stderr).toBe("runts: container with given ID already exists\n");
      const list = await sandbox.invoke(["list", "--quiet"]);
      expect([list.code, list.stdout]).toEqual([0, `${other.id}\n`]);
      expect(list.stderr).toMatch(/level=warning msg="container [^\n]* has format [^\n]*\n$/);
      expect((await other.delete("--force")).code).toBe(0);
      expect(readRecord(sandbox, container)).toEqual(newer);

      writeRecord(sandbox, container, present);
      expect(await container.state()).toMatchObject({ status: "running", pid });
      expect((await container.exec(["echo", "alive"])).stdout).toBe("alive\n");
    },
  );
}
