import { execFileSync } from "node:child_process";
import { copyFileSync, cpSync, mkdirSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect } from "vitest";
import type { Seccomp } from "../harness/config.ts";
import { CHMOD, COMPILED, denyChmod, entries, KEPT, runProbe, warmed } from "../harness/host/filter-cache.ts";
import { IS_RUNTS, RUNTIME } from "../harness/runtime.ts";
import { spec } from "../harness/spec.ts";

const CLAUSE = "promise: SECURITY.md, compiled filters";

/** Changes that make a kept filter wrong, and one that doesn't. */
if (IS_RUNTS) {
  spec("run, any part of the profile changed: compiled again", CLAUSE, async (sandbox) => {
    await warmed(sandbox);
    const [chmod = { names: [], action: "" }, kill = { names: [], action: "" }] = denyChmod.syscalls ?? [];
    const argument = kill.args?.[0] ?? { index: 0, value: 0, op: "" };
    const others: Seccomp[] = [
      { ...denyChmod, flags: [] },
      { ...denyChmod, flags: ["SECCOMP_FILTER_FLAG_LOG"] },
      { ...denyChmod, architectures: [] },
      { ...denyChmod, syscalls: [kill, chmod] },
      { ...denyChmod, syscalls: [{ ...chmod, errnoRet: 94 }, kill] },
      { ...denyChmod, syscalls: [{ ...chmod, names: [...CHMOD, "chown"] }, kill] },
      ...[{ value: 11 }, { index: 0 }, { op: "SCMP_CMP_NE" }, { value: 10, valueTwo: 1 }].map((change) => ({
        ...denyChmod,
        syscalls: [chmod, { ...kill, args: [{ ...argument, ...change }] }],
      })),
    ];
    for (const other of others) expect(await runProbe(sandbox, other)).toEqual(COMPILED);
    expect(entries(sandbox)).toHaveLength(1 + others.length);
  });

  spec("run, another agent in the profile: the kept filter is used", CLAUSE, async (sandbox) => {
    await warmed(sandbox);
    for (const listenerPath of ["/run/one", "/run/two"])
      expect(await runProbe(sandbox, { ...denyChmod, listenerPath })).toEqual(KEPT);
  });

  spec("run, another /etc/ld.so.cache: compiled again", CLAUSE, async (sandbox) => {
    await warmed(sandbox);
    const copy = sandbox.path("ld.so.cache");
    copyFileSync("/etc/ld.so.cache", copy);
    const script = 'mount --bind "$0" /etc/ld.so.cache && exec "$@"';
    const wrapper = ["unshare", "-m", "--propagation", "slave", "sh", "-c", script, copy];
    expect(await runProbe(sandbox, denyChmod, { wrapper })).toEqual(COMPILED);
    expect(await runProbe(sandbox, denyChmod, { wrapper })).toEqual(KEPT);
    expect(await runProbe(sandbox)).toEqual(COMPILED);
  });

  spec("run, another libseccomp: compiled again", CLAUSE, async (sandbox) => {
    await warmed(sandbox);
    const [library = ""] = execFileSync("sh", ["-c", "readlink -f /usr/lib/*/libseccomp.so.2"], {
      encoding: "utf8",
    }).split("\n");
    const copy = sandbox.path("libseccomp.so.2");
    copyFileSync(library, copy);
    const script = `mount --bind "$0" ${library} && exec "$@"`;
    const wrapper = ["unshare", "-m", "--propagation", "slave", "sh", "-c", script, copy];
    expect(await runProbe(sandbox, denyChmod, { wrapper })).toEqual(COMPILED);
    expect(await runProbe(sandbox, denyChmod, { wrapper })).toEqual(KEPT);
  });

  spec("run, another build of the runtime: compiled again", CLAUSE, async (sandbox) => {
    await warmed(sandbox);
    const folder = sandbox.path("dist");
    mkdirSync(folder);
    for (const name of readdirSync(dirname(RUNTIME)).filter((file) => /^(runts|koffi)/.test(file)))
      cpSync(join(dirname(RUNTIME), name), join(folder, name));
    const runtime = join(folder, "runts");
    expect(await runProbe(sandbox, denyChmod, { runtime })).toEqual(COMPILED);
    expect(await runProbe(sandbox, denyChmod, { runtime })).toEqual(KEPT);
    expect(entries(sandbox)).toHaveLength(2);
  });
}
