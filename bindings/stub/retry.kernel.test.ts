import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdirSync, openSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { nulTerminated } from "../abi/c-string.ts";
import { O_CLOEXEC, O_PATH, RESOLVE_IN_ROOT } from "../abi/fcntl.ts";
import { open_how } from "../abi/layouts.ts";
import { describeBuilds } from "./kernel.test-support.ts";
import { data } from "./program.ts";

/** Renames a file back and forth as long as its parent lives. */
const RENAME = `
const { renameSync, writeSync } = require("node:fs");
const [one, other] = [process.argv[1] + "/one", process.argv[1] + "/other"];
writeSync(1, "ready");
while (process.ppid !== 1) for (let i = 0; i < 1000; i++) { renameSync(one, other); renameSync(other, one); }`;

describeBuilds("openat2 while others rename", (bench) => {
  test("is tried again where the kernel answers EAGAIN to a path with ..", async () => {
    mkdirSync(join(bench.directory, "a/b"), { recursive: true });
    for (const name of ["one", "file"]) writeFileSync(join(bench.directory, name), "");
    const child = spawn(process.execPath, ["-e", RENAME, bench.directory], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    await once(child.stdout, "data");
    const root = openSync(bench.directory, "r");
    try {
      const program = bench.stub.channel.program();
      const from = program.descriptor(root);
      const how = data(
        new Uint8Array(BigUint64Array.of(BigInt(O_PATH | O_CLOEXEC), 0n, BigInt(RESOLVE_IN_ROOT)).buffer),
      );
      // Long enough for some walks to meet a rename, short enough for each to succeed between two renames.
      const path = data(nulTerminated(`${"a/b/../../".repeat(8)}file`));
      for (let i = 0; i < 1000; i++) {
        const fd = program.call("openat2", [from, path, how, open_how.size]);
        program.do("close", [fd]);
      }
      expect(bench.stub.channel.run(program).failure).toBeUndefined();
    } finally {
      closeSync(root);
      child.kill("SIGKILL");
      await once(child, "exit");
    }
  });
});
