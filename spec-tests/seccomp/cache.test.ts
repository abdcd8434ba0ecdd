import { execFileSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { expect } from "vitest";
import {
  allowAll,
  CHMOD,
  COMPILED,
  denyChmod,
  entries,
  KEPT,
  PROBE,
  profiled,
  runProbe,
  warmed,
} from "../harness/host/filter-cache.ts";
import { kernelFilter } from "../harness/host/kernel-filter.ts";
import { rootlessShell, USER } from "../harness/host/user.ts";
import { IS_RUNTS } from "../harness/runtime.ts";
import { FILTER_CACHE, type Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";

const CLAUSE = "promise: SECURITY.md, compiled filters";

if (IS_RUNTS) {
  spec(
    "run with a profile for the second time: the same filter in the kernel, libseccomp is not loaded",
    CLAUSE,
    async (sandbox) => {
      const profile = { ...denyChmod, flags: ["SECCOMP_FILTER_FLAG_LOG"] };
      const inKernel = async () => {
        const container = sandbox.shell(PROBE, profiled(profile));
        await container.started();
        return kernelFilter((await container.state()).pid);
      };
      const compiled = await inKernel();
      expect(await runProbe(sandbox, profile)).toEqual(KEPT);
      expect(await inKernel()).toEqual(compiled);
      expect(compiled.code.length).toBeGreaterThan(64);
      expect(compiled.flags).toBe(2);
    },
  );

  spec("exec with the profile of create: the same filter, from the cache", CLAUSE, async (sandbox) => {
    const container = sandbox.shell(PROBE, profiled(denyChmod));
    await container.started();
    const { pid } = await container.state();
    const file = sandbox.path("pid");
    expect((await container.exec(["sleep", "1000"], { flags: ["-d", "--pid-file", file] })).code).toBe(0);
    expect(kernelFilter(Number(readFileSync(file, "utf8")))).toEqual(kernelFilter(pid));
    expect(entries(sandbox)).toHaveLength(1);
  });

  spec("run, the cache: only its user can read the folder and files", CLAUSE, async (sandbox) => {
    const container = sandbox.shell("true", profiled(denyChmod));
    const { code } = await container.run({ wrapper: ["sh", "-c", 'umask 0; exec "$@"', "sh"] });
    expect(code).toBe(0);
    const folder = join(sandbox.root, FILTER_CACHE);
    const [name = ""] = entries(sandbox);
    expect(statSync(folder).mode & 0o7777).toBe(0o700);
    expect(statSync(join(folder, name)).mode & 0o7777).toBe(0o600);
    expect((await sandbox.invoke(["list", "--quiet"])).stdout).toBe("");
  });

  /** Damages after which a kept filter must not be used. */
  const damages: readonly (readonly [string, (file: string, sandbox: Sandbox) => void])[] = [
    ["is empty", (file) => truncateSync(file, 0)],
    ["is cut off by a byte", (file) => truncateSync(file, statSync(file).size - 1)],
    ["is cut off by an instruction", (file) => truncateSync(file, statSync(file).size - 8)],
    ["is longer by an instruction", (file) => writeFileSync(file, Buffer.alloc(8), { flag: "a" })],
    ["has a flipped bit in its head", (file) => flip(file, 9)],
    ["has a flipped bit in its profile", (file) => flip(file, 200)],
    ["has a flipped bit in its filter", (file) => flip(file, statSync(file).size - 12)],
    ["is as large as a disk", (file) => truncateSync(file, 2 ** 40)],
    ["can be read by others", (file) => chmodSync(file, 0o644)],
    ["can be written by all", (file) => chmodSync(file, 0o666)],
    ["can be written by its group", (file) => chmodSync(file, 0o620)],
    ["belongs to another user", (file) => chownSync(file, USER, USER)],
    ["is a symlink to a good one", replaced((file, copy) => symlinkSync(copy, file))],
    ["is a fifo", replaced((file) => execFileSync("mkfifo", ["-m", "600", file]))],
    ["is a device", replaced((file) => execFileSync("mknod", ["-m", "600", file, "c", "1", "5"]))],
    ["is a socket", replaced((file) => makeSocket(file))],
  ];

  for (const [what, damage] of damages) {
    spec(
      `run, the file of the kept filter ${what}: compiled again, and replaced`,
      CLAUSE,
      async (sandbox) => {
        const file = await warmed(sandbox);
        expect(await runProbe(sandbox)).toEqual(KEPT);
        damage(file, sandbox);
        expect(await runProbe(sandbox)).toEqual(COMPILED);
        const { mode, uid } = statSync(file);
        expect([mode, uid]).toEqual([0o100600, 0]);
        expect(await runProbe(sandbox)).toEqual(KEPT);
        expect(entries(sandbox)).toHaveLength(1);
      },
    );
  }

  spec(
    "run, a folder in place of the kept filter's file: compiled again, the folder stays",
    CLAUSE,
    async (sandbox) => {
      const file = await warmed(sandbox);
      rmSync(file);
      mkdirSync(file);
      for (let i = 0; i < 2; i++) expect(await runProbe(sandbox)).toEqual(COMPILED);
      expect(readdirSync(file)).toEqual([]);
      expect(entries(sandbox)).toHaveLength(1);
    },
  );

  spec(
    "run, another profile's filter under the name of this profile's: not used, whatever it allows",
    CLAUSE,
    async (sandbox) => {
      const strict = await warmed(sandbox);
      expect(await runProbe(sandbox, allowAll)).toEqual({ printed: "weak", compiled: true });
      const weak = entries(sandbox)
        .map((name) => join(dirname(strict), name))
        .find((path) => path !== strict);
      renameSync(weak ?? "", strict);
      expect(await runProbe(sandbox)).toEqual(COMPILED);
      expect(await runProbe(sandbox)).toEqual(KEPT);
      expect(await runProbe(sandbox, allowAll)).toEqual({ printed: "weak", compiled: true });
    },
  );

  /** Changes to the cache's folder after which the runtime neither reads from it nor writes to it. */
  const folders: readonly (readonly [string, (folder: string) => void])[] = [
    ["can be written by all", (folder) => chmodSync(folder, 0o777)],
    ["can be read by others", (folder) => chmodSync(folder, 0o755)],
    ["belongs to another user", (folder) => chownSync(folder, USER, USER)],
    [
      "is a symlink to one",
      (folder) => {
        renameSync(folder, `${folder}-moved`);
        symlinkSync(`${folder}-moved`, folder);
      },
    ],
    [
      "is a file",
      (folder) => {
        rmSync(folder, { recursive: true });
        writeFileSync(folder, "");
      },
    ],
  ];

  for (const [what, spoil] of folders) {
    spec(
      `run, the folder of the cache ${what}: compiled again, the folder is not used`,
      CLAUSE,
      async (sandbox) => {
        const folder = dirname(await warmed(sandbox));
        spoil(folder);
        const before = execFileSync("find", [sandbox.root, "-ls"], { encoding: "utf8" });
        for (let i = 0; i < 2; i++) expect(await runProbe(sandbox)).toEqual(COMPILED);
        expect(execFileSync("find", [sandbox.root, "-ls"], { encoding: "utf8" }).split("\n").length).toBe(
          before.split("\n").length,
        );
        for (const path of [folder, `${folder}-moved`]) rmSync(path, { recursive: true, force: true });
      },
    );
  }

  spec("run, the cache can't be written: no error", CLAUSE, async (sandbox) => {
    const folder = join(sandbox.root, FILTER_CACHE);
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    execFileSync("mount", ["-t", "tmpfs", "-o", "ro,mode=700", "tmpfs", folder]);
    sandbox.atEnd(() => {
      execFileSync("umount", [folder]);
    });
    expect(await runProbe(sandbox)).toEqual(COMPILED);
    const container = sandbox.shell("true", profiled(denyChmod));
    const { stderr } = await container.run({ globals: ["--debug"] });
    expect(stderr).toMatch(/level=debug.*the seccomp filter is not kept: .*[Rr]ead-only file system/);
  });

  spec("run, a full file system for the cache: no error, no incomplete file", CLAUSE, async (sandbox) => {
    const folder = join(sandbox.root, FILTER_CACHE);
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=4096,mode=700", "tmpfs", folder]);
    sandbox.atEnd(() => {
      execFileSync("umount", [folder]);
    });
    const names = Array.from({ length: 400 }, (_, i) => `no_such_call_${i}`);
    const large = {
      ...denyChmod,
      syscalls: [...(denyChmod.syscalls ?? []), { names, action: "SCMP_ACT_ERRNO" }],
    };
    for (let i = 0; i < 2; i++) expect(await runProbe(sandbox, large)).toEqual(COMPILED);
    expect(entries(sandbox)).toEqual([]);
  });

  spec("run, 12 at once with the same new profile: one file, the same filter", CLAUSE, async (sandbox) => {
    const containers = Array.from({ length: 12 }, () => sandbox.shell(PROBE, profiled(denyChmod)));
    await Promise.all(containers.map((container) => container.started()));
    const codes = new Set<string>();
    for (const container of containers) codes.add(kernelFilter((await container.state()).pid).code);
    expect(codes.size).toBe(1);
    expect(entries(sandbox)).toHaveLength(1);
    expect(await runProbe(sandbox)).toEqual(KEPT);
  });

  spec(
    "run with one new profile after another: the cache stays within its limits, the oldest files go",
    CLAUSE,
    async (sandbox) => {
      const own = await warmed(sandbox);
      const long = 200 * 1024;
      for (let i = 0; i < 100; i++) {
        const path = join(dirname(own), `f${i}`);
        writeFileSync(path, i < 50 ? "" : Buffer.alloc(long), { mode: 0o600 });
        utimesSync(path, 1000 + i, 1000 + i);
      }
      writeFileSync(join(dirname(own), "new-1-interrupted"), "", { mode: 0o600 });
      utimesSync(join(dirname(own), "new-1-interrupted"), 1, 1);
      expect(await runProbe(sandbox)).toEqual(KEPT);
      expect(entries(sandbox)).toHaveLength(102);
      expect((await runProbe(sandbox, allowAll)).compiled).toBe(true);
      const left = entries(sandbox);
      const bytes = left.map((name) => statSync(join(dirname(own), name)).size).reduce((a, b) => a + b, 0);
      expect(left.length).toBeLessThanOrEqual(64);
      expect(bytes).toBeLessThanOrEqual(4 * 1024 * 1024);
      expect(left).toContain("f99");
      expect(left.filter((name) => /^(f[0-4]?\d|new-.*)$/.test(name))).toEqual([]);
      expect(await runProbe(sandbox)).toEqual(KEPT);
      expect((await runProbe(sandbox, allowAll)).compiled).toBe(false);
    },
  );

  spec(
    "run --debug with a kept filter: the log has the messages of its compilation",
    CLAUSE,
    async (sandbox) => {
      const rule = { names: ["syscall_of_the_future", ...CHMOD], action: "SCMP_ACT_ERRNO" };
      for (let i = 0; i < 2; i++) {
        const container = sandbox.shell("true", profiled({ ...allowAll, syscalls: [rule] }));
        const { stderr } = await container.run({ globals: ["--debug"] });
        expect(stderr).toContain("unknown to libseccomp are ignored: syscall_of_the_future");
      }
    },
  );

  spec(
    "rootless run: the cache belongs to the user, and is in the user's state root",
    CLAUSE,
    async (sandbox) => {
      const probe = () =>
        runProbe(sandbox, denyChmod, { container: rootlessShell(sandbox, PROBE, profiled(denyChmod)) });
      expect(await probe()).toEqual(COMPILED);
      expect(await probe()).toEqual(KEPT);
      const [name = ""] = entries(sandbox);
      const folder = join(sandbox.root, FILTER_CACHE);
      for (const path of [folder, join(folder, name)]) expect(statSync(path).uid).toBe(USER);
      // Root's file in the user's folder: not the user's own.
      chownSync(join(folder, name), 0, 0);
      expect(await probe()).toEqual(COMPILED);
      expect(await probe()).toEqual(KEPT);
      rmSync(join(folder, name));
      chmodSync(folder, 0o500);
      for (let i = 0; i < 2; i++) expect(await probe()).toEqual(COMPILED);
      expect(entries(sandbox)).toEqual([]);
      chmodSync(folder, 0o700);
    },
  );
}

/** Keeps a copy of the file beside the state root, and puts something else into its place. */
function replaced(put: (file: string, copy: string) => void): (file: string, sandbox: Sandbox) => void {
  return (file, sandbox) => {
    const copy = sandbox.path("good");
    renameSync(file, copy);
    put(file, copy);
  };
}

function flip(file: string, offset: number): void {
  const bytes = readFileSync(file);
  bytes[offset] = (bytes[offset] ?? 0) ^ 0x10;
  writeFileSync(file, bytes);
}

function makeSocket(file: string): void {
  const program = "import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])";
  // The whole path may be too long for a socket's address.
  execFileSync("python3", ["-c", program, file.slice(dirname(file).length + 1)], { cwd: dirname(file) });
  chmodSync(file, 0o600);
}
