import { describe, expect, it } from "vitest";
import { RuntsError } from "../../errors.ts";
import { withMountHint } from "./mount-target.ts";

const CONFIG = {
  ociVersion: "1.3.0",
  root: { path: "rootfs" },
  mounts: [
    { destination: "/dev", type: "tmpfs" },
    { destination: "/proc", type: "proc" },
    { destination: "/sys", type: "sysfs" },
  ],
};

function failed(pointer: string, errno: string, operation = "openat2"): RuntsError {
  return new RuntsError("as it was", { operation, errno, path: "proc", pointer });
}

describe("explainTarget", () => {
  it.each([
    [
      "/mounts/1",
      "ELOOP",
      'mount proc on /proc: filesystem "proc" must be mounted on ordinary directory, but /proc is a symbolic link, or is below one',
    ],
    [
      "/mounts/2",
      "ENOTDIR",
      'mount sysfs on /sys: filesystem "sysfs" must be mounted on ordinary directory, but /sys is no directory, or is below a file',
    ],
  ])("%s, %s", (pointer, errno, message) => {
    const error = withMountHint(failed(pointer, errno), CONFIG);
    expect(error).toMatchObject({ message: `${pointer}: ${message}`, pointer, errno, operation: "openat2" });
  });

  it.each([
    ["another type", failed("/mounts/0", "ELOOP")],
    ["another call", failed("/mounts/1", "ELOOP", "mkdirat")],
    ["another reason", failed("/mounts/1", "EACCES")],
    ["another property", failed("/linux/maskedPaths/1", "ELOOP")],
    ["another error", new Error("as it was")],
  ])("%s: unchanged", (_title, error) => expect(withMountHint(error, CONFIG)).toBe(error));
});
