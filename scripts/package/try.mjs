/** Runs a built engine: a package whose engine does not start would be of no use. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { Missing } from "../machine.mjs";

/** Debian packages that run arm64 programs on x86-64. */
export const emulator = [
  {
    name: "qemu-user-static",
    program: "qemu-aarch64-static",
    needed: true,
    why: "runs the engine for arm64",
  },
  {
    name: "libgcc-s1-arm64-cross",
    file: "/usr/aarch64-linux-gnu/lib/libgcc_s.so.1",
    needed: true,
    why: "a library of the engine for arm64",
  },
];

/**
 * Runs `features`, which loads koffi and asks the kernel. The engine is executed directly where an emulator is needed, as the launcher's
 * execve(2) would leave the emulator. Returns whether this machine can run it: there is no emulator of x86-64 for arm64 here.
 */
export function tryEngine(folder, arch) {
  if (arch !== process.arch && process.arch !== "x64") return false;
  const [command, ...args] =
    arch === process.arch
      ? [join(folder, "runts")]
      : ["qemu-aarch64-static", "-L", "/usr/aarch64-linux-gnu", join(folder, "runts-engine")];
  const { status, stdout, stderr, error } = spawnSync(command, [...args, "features"], {
    encoding: "utf8",
    env: {},
  });
  if (status !== 0 || !stdout.includes('"ociVersionMax"'))
    throw new Missing(`the engine for ${arch} does not run:\n${error?.message ?? `${stdout}${stderr}`}`);
  return true;
}
