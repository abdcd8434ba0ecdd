import { execFileSync } from "node:child_process";
import { chmodSync, copyFileSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { which } from "./runtime.ts";

const FOLDERS = [
  "bin",
  "dev",
  "etc",
  "home/alice",
  "mnt",
  "proc",
  "root",
  "sys",
  "tmp",
  "usr/local/bin",
  "var",
];

/** Makes the root file system that bundles copy: a static busybox with its names, and users. */
export function buildBaseRootfs(directory: string): void {
  const busybox = which("busybox");
  if (busybox === undefined)
    throw new Error("the spec tests need a static busybox: apt-get install busybox-static");
  for (const folder of FOLDERS) mkdirSync(join(directory, folder), { recursive: true });
  copyFileSync(busybox, join(directory, "bin/busybox"));
  chmodSync(join(directory, "bin/busybox"), 0o755);
  const names = execFileSync(busybox, ["--list"], { encoding: "utf8" }).split("\n");
  for (const name of names)
    if (name !== "" && name !== "busybox") symlinkSync("busybox", join(directory, "bin", name));
  writeFileSync(
    join(directory, "etc/passwd"),
    "root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1000:Alice:/home/alice:/bin/sh\n",
  );
  writeFileSync(join(directory, "etc/group"), "root:x:0:\nalice:x:1000:\n");
  chmodSync(join(directory, "tmp"), 0o1777);
}

/** The root file system that the tests share, which their set-up has made. */
export function baseRootfs(): string {
  return join(process.env.SPEC_TEST_BASE ?? "", "rootfs");
}

/** A tar file of it, in this directory. */
export function archiveBaseRootfs(directory: string): string {
  const archive = join(directory, "rootfs.tar");
  execFileSync("tar", ["-C", baseRootfs(), "-cf", archive, "."]);
  return archive;
}

/** Copies a root file system into a bundle; files are hard links, so that nothing but names is written. */
export function copyRootfs(base: string, target: string): void {
  execFileSync("cp", ["-al", base, target]);
}

/** Gives a rootfs to other ids, as engines do for user namespaces. Files are copied first: they are links into the base. */
export function giveRootfsTo(rootfs: string, owner: { uid: number; gid: number }): void {
  execFileSync("cp", ["-a", rootfs, `${rootfs}.owned`]);
  execFileSync("rm", ["-rf", rootfs]);
  execFileSync("mv", [`${rootfs}.owned`, rootfs]);
  execFileSync("chown", ["-hR", `${owner.uid}:${owner.gid}`, rootfs]);
}
