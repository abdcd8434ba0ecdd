import { execFileSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { expectRefusal, inOurWords } from "../harness/refusal.ts";
import { spec } from "../harness/spec.ts";

spec(
  "create --pid-file in a folder full of links, which others can write to: no target of a link is written",
  "promise: the pid file overwrites nobody's file",
  async (sandbox) => {
    const folder = sandbox.path("shared");
    mkdirSync(folder);
    chmodSync(folder, 0o777);
    const victim = sandbox.path("victim");
    writeFileSync(victim, "untouched");
    const last = Number(readFileSync("/proc/sys/kernel/ns_last_pid", "utf8"));
    const pidFile = join(folder, "box.pid");
    for (let pid = last + 1; pid < last + 500; pid += 1) symlinkSync(victim, `${pidFile}.runts-${pid}`);
    const container = sandbox.container();
    await container.created({ flags: ["--pid-file", pidFile] });
    expect(readFileSync(victim, "utf8")).toBe("untouched");
    expect(Number(readFileSync(pidFile, "utf8"))).toBe((await container.state()).pid);
  },
);

spec(
  "create --pid-file on a file system that is full: error, nothing left",
  "runtime.md, Errors: as if never tried",
  async (sandbox) => {
    const folder = sandbox.path("full");
    mkdirSync(folder);
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=4k", "tmpfs", folder]);
    sandbox.atEnd(() => void execFileSync("umount", [folder]));
    writeFileSync(join(folder, "filler"), "x".repeat(4096));
    const result = await sandbox.container().create({ flags: ["--pid-file", join(folder, "box.pid")] });
    expectRefusal(result, inOurWords("write the pid file: "));
    expect(readdirSync(folder)).toEqual(["filler"]);
  },
  { both: "the pid file that can't be written stays, empty" },
);

spec(
  "create --pid-file, the last write of the state fails: error, no pid file left",
  "runtime.md, Errors: as if never tried",
  async (sandbox) => {
    mkdirSync(sandbox.root);
    execFileSync("mount", ["-t", "tmpfs", "-o", "mode=711,nr_inodes=2", "tmpfs", sandbox.root]);
    sandbox.atEnd(() => void execFileSync("umount", [sandbox.root]));
    const container = sandbox.container();
    const pidFile = sandbox.path("pid");
    const create = (files: number) => {
      execFileSync("mount", ["-o", `remount,nr_inodes=${files}`, sandbox.root]);
      return container.create({ flags: ["--pid-file", pidFile] });
    };
    // Each round allows the state root one more file. In the last one that fails, the last write fails.
    let files = 3;
    for (let result = await create(files); result.code !== 0 && files < 20; result = await create(++files)) {
      expectRefusal(result, inOurWords("no space left on device"));
      expect([files, existsSync(pidFile)]).toEqual([files, false]);
    }
    expect(files).toBeGreaterThan(3);
    expect(files).toBeLessThan(20);
    expect(readFileSync(pidFile, "utf8")).toBe(String((await container.state()).pid));
    expect((await container.delete("--force")).code).toBe(0);
  },
  { crun: "leaves the container's directory" },
);
