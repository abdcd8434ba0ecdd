import { afterEach, expect, it } from "vitest";
import { statfs } from "../../../bindings/abi/layouts.ts";
import type { NativeArgument } from "../../../bindings/ffi/koffi.ts";
import { callKernel, substituteKernel } from "../../../bindings/ffi/syscall.ts";
import { Program, RegisterAllocator } from "../../../bindings/stub/program.ts";
import { execLabels } from "./lsm.ts";

const SELINUX = "/sys/fs/selinux";
const PROCESS = { cwd: "/", args: ["true"], selinuxLabel: "u:r:t:s0" };

afterEach(() => substituteKernel(undefined));

/** A host with these types of file systems at these paths. */
function hostWith(types: Readonly<Record<string, number>>): void {
  substituteKernel((name, args) => {
    const [path, bytes] = args;
    const type = name === "statfs" ? types[textOf(path)] : undefined;
    if (type === undefined || !(bytes instanceof Uint8Array)) return callKernel(name, args);
    new DataView(bytes.buffer).setBigUint64(statfs.f_type, BigInt(type), true);
    return 0;
  });
}

function textOf(path: NativeArgument | undefined): string {
  return path instanceof Uint8Array ? Buffer.from(path).toString().replace(/\0.*$/, "") : "";
}

it("writes no labels to what is not procfs", () => {
  hostWith({ [SELINUX]: 0xf97cff8c, "/proc": 0x01021994 });
  expect(() => execLabels(PROCESS, true)).toThrow("/process/selinuxLabel: /proc, by which labels are set");
});

it("writes them by a procfs, and asks for none without labels", () => {
  hostWith({ [SELINUX]: 0xf97cff8c });
  const program = new Program(new RegisterAllocator());
  execLabels(PROCESS, true)?.(program);
  expect(program.operations.filter(({ call }) => call === "write")).toHaveLength(2);
  expect(execLabels({ ...PROCESS, selinuxLabel: "" }, true)).toBeUndefined();
});

it("refuses a label whose module the host does not have", () => {
  hostWith({ [SELINUX]: 0x62656572 });
  expect(() => execLabels(PROCESS, true)).toThrow("/process/selinuxLabel: SELinux is not enabled");
});
