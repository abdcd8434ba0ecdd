import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import type { Mount } from "../harness/config.ts";
import { expectRefusal, inOurWords } from "../harness/refusal.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";

/** The runtime's writes to procfs reach the kernel's own files: no mount of the container can take their place. */

/** A volume that looks enough like procfs for a label to be written into it. */
function fakeProc(sandbox: Sandbox): string {
  const folder = sandbox.path("fake");
  mkdirSync(join(folder, "self/attr"), { recursive: true });
  writeFileSync(join(folder, "self/attr/exec"), "");
  symlinkSync("self", join(folder, "thread-self"));
  return folder;
}

const FAKES: readonly (readonly [string, (source: string) => Mount])[] = [
  ["a volume on /proc", (source) => ({ destination: "/proc", type: "bind", source, options: ["bind"] })],
  ["a tmpfs on /proc", () => ({ destination: "/proc", type: "tmpfs", source: "tmpfs" })],
  [
    "a volume on a symlink to /proc",
    (source) => ({ destination: "/volume", type: "bind", source, options: ["bind"] }),
  ],
  [
    "a volume below a symlink to /proc",
    (source) => ({ destination: "/volume/self", type: "bind", source, options: ["bind"] }),
  ],
  ["a tmpfs inside of /proc", () => ({ destination: "/proc/self/attr", type: "tmpfs", source: "tmpfs" })],
];

for (const [what, mount] of FAKES) {
  spec(
    `create, ${what}: error, nothing left`,
    "CVE-2019-16884",
    async (sandbox) => {
      const source = fakeProc(sandbox);
      const container = sandbox.container(({ mounts }) => void mounts.push(mount(source)));
      symlinkSync("proc", join(container.rootfs, "volume"));
      expectRefusal(await container.create(), inOurWords("proc"));
      expect(await sandbox.traces()).toEqual([]);
    },
    { crun: "anything may be mounted on and in /proc; labels are written to a verified procfs" },
  );
}

/** A procfs of the caller's, with a folder of plain files mounted over its sys, to which the runtime will write. */
function trappedProc(sandbox: Sandbox, trap: string): string {
  const folder = sandbox.path("proc");
  mkdirSync(folder);
  execFileSync("mount", ["-t", "proc", "proc", folder]);
  sandbox.atEnd(() => void execFileSync("umount", ["-R", folder]));
  execFileSync("mount", ["--bind", trap, join(folder, "sys")]);
  sandbox.settle();
  return folder;
}

spec(
  "create with sysctls, a volume over /proc/sys: written to the kernel, not to the volume",
  "CVE-2025-52881",
  async (sandbox) => {
    const trap = sandbox.path("trap");
    mkdirSync(join(trap, "net/ipv4"), { recursive: true });
    writeFileSync(join(trap, "net/ipv4/ip_forward"), "trap\n");
    const source = trappedProc(sandbox, trap);
    const names = ["/proc", "/real"].map((folder) => `${folder}/sys/net/ipv4/ip_forward`);
    const container = sandbox.shell(`cat ${names.join(" ")}`, (config) => {
      config.mounts = config.mounts.filter(({ destination }) => destination !== "/proc");
      config.mounts.push(
        { destination: "/proc", type: "bind", source, options: ["rbind"] },
        { destination: "/real", type: "proc", source: "proc" },
      );
      config.linux.sysctl = { "net.ipv4.ip_forward": "1" };
      config.linux.readonlyPaths = [];
      config.linux.maskedPaths = [];
    });
    mkdirSync(join(container.rootfs, "real"));
    expect((await container.run()).stdout).toBe("trap\n1\n");
    expect(readFileSync(join(trap, "net/ipv4/ip_forward"), "utf8")).toBe("trap\n");
  },
  { runc: "older than the fix of CVE-2025-52881: sysctls are written to the container's /proc" },
);

spec(
  "create, masked and read-only paths that are symlinks to other files of procfs: their targets are masked or read-only",
  "CVE-2025-52881",
  async (sandbox) => {
    const container = sandbox.shell(
      "cat /mask/timer /proc/timer_list; for name in /ro/ns_last_pid /proc/sys/kernel/ns_last_pid; do echo 1 2>/dev/null >$name || echo refused; done",
      (config) => {
        config.linux.maskedPaths = ["/mask/timer"];
        config.linux.readonlyPaths = ["/ro/ns_last_pid"];
      },
    );
    for (const [folder, name, target] of [
      ["mask", "timer", "/proc/timer_list"],
      ["ro", "ns_last_pid", "/proc/sys/kernel/ns_last_pid"],
    ] as const) {
      mkdirSync(join(container.rootfs, folder));
      rmSync(join(container.rootfs, folder, name), { force: true });
      symlinkSync(target, join(container.rootfs, folder, name));
    }
    expect((await container.run()).stdout).toBe("refused\nrefused\n");
  },
);
