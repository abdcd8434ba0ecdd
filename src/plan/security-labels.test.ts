import { expect, it } from "vitest";
import { Program, RegisterAllocator } from "../../bindings/stub/program.ts";
import { setExecLabels, wantsLabel } from "./security-labels.ts";

const PROCESS = { cwd: "/", args: ["/bin/true"] };

function operations(changes: object) {
  const registers = new RegisterAllocator();
  const program = new Program(registers);
  setExecLabels(program, { ...PROCESS, ...changes }, registers.take());
  return program.operations.map(({ call, args, pointer, guard, tolerate }) => [
    pointer,
    call,
    args.find((argument) => typeof argument === "string"),
    guard?.is,
    tolerate.join(),
  ]);
}

it("writes an AppArmor profile, to the older file where the newer is missing", () => {
  const pointer = "/process/apparmorProfile";
  expect(operations({ apparmorProfile: "docker-default" })).toEqual([
    [pointer, "openat2", "thread-self/attr/apparmor/exec", undefined, "ENOENT"],
    [pointer, "openat2", "thread-self/attr/exec", "failed", ""],
    [pointer, "write", "exec docker-default", undefined, ""],
    [pointer, "close", undefined, undefined, ""],
  ]);
});

it("writes an SELinux label as it is", () => {
  const label = "system_u:system_r:container_t:s0:c1,c2";
  const pointer = "/process/selinuxLabel";
  expect(operations({ selinuxLabel: label })).toEqual([
    [pointer, "openat2", "thread-self/attr/exec", undefined, ""],
    [pointer, "write", label, undefined, ""],
    [pointer, "close", undefined, undefined, ""],
  ]);
});

it("does nothing without labels, also empty ones", () => {
  expect(operations({})).toEqual([]);
  expect(operations({ apparmorProfile: "", selinuxLabel: "" })).toEqual([]);
  expect(wantsLabel(PROCESS)).toBe(false);
  expect(wantsLabel({ ...PROCESS, apparmorProfile: "" })).toBe(false);
  expect(wantsLabel({ ...PROCESS, selinuxLabel: "x" })).toBe(true);
});
