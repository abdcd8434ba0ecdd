import { expect, it } from "vitest";
import { Program, RegisterAllocator } from "../../../bindings/stub/program.ts";
import { setExecLabels, wantsLabel } from "./labels.ts";

const PROCESS = { cwd: "/", args: ["/bin/true"] };

function operations(changes: object, makesKeyring = false) {
  const registers = new RegisterAllocator();
  const program = new Program(registers);
  setExecLabels(program, { ...PROCESS, ...changes }, makesKeyring);
  return program.operations.map(({ call, args, pointer, guard, tolerate }) => [
    pointer,
    call,
    args.find((argument) => typeof argument === "string"),
    guard?.is,
    tolerate.join(),
  ]);
}

it("writes an AppArmor profile, to the older file if the newer one is missing", () => {
  const pointer = "/process/apparmorProfile";
  expect(operations({ apparmorProfile: "docker-default" }, true)).toEqual([
    [pointer, "openat", "/proc", undefined, ""],
    [pointer, "openat2", "thread-self/attr/apparmor/exec", undefined, "ENOENT"],
    [pointer, "openat2", "thread-self/attr/exec", "failed", ""],
    [pointer, "write", "exec docker-default", undefined, ""],
    [pointer, "close", undefined, undefined, ""],
    [pointer, "close", undefined, undefined, ""],
  ]);
});

it("writes an SELinux label unchanged, and once more for a keyring that is made", () => {
  const label = "system_u:system_r:container_t:s0:c1,c2";
  const pointer = "/process/selinuxLabel";
  const written = (name: string) => [
    [pointer, "openat2", `thread-self/attr/${name}`, undefined, ""],
    [pointer, "write", label, undefined, ""],
    [pointer, "close", undefined, undefined, ""],
  ];
  const opened = [pointer, "openat", "/proc", undefined, ""];
  const closed = [pointer, "close", undefined, undefined, ""];
  expect(operations({ selinuxLabel: label })).toEqual([opened, ...written("exec"), closed]);
  expect(operations({ selinuxLabel: label }, true)).toEqual([
    opened,
    ...written("exec"),
    ...written("keycreate"),
    closed,
  ]);
});

it("wantsLabel is false without labels and for empty ones", () => {
  expect(wantsLabel(PROCESS)).toBe(false);
  expect(wantsLabel({ ...PROCESS, apparmorProfile: "" })).toBe(false);
  expect(wantsLabel({ ...PROCESS, selinuxLabel: "x" })).toBe(true);
});
