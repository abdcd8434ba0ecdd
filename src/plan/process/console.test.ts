import { describe, expect, it } from "vitest";
import { RESOLVE_IN_ROOT, RESOLVE_NO_SYMLINKS } from "../../../bindings/abi/fcntl.ts";
import { TIOCGPTPEER, TIOCSCTTY, TIOCSPTLCK, TIOCSWINSZ } from "../../../bindings/abi/ioctl.ts";
import type { Reply } from "../../../bindings/stub/program.ts";
import type { Process } from "../../spec/types.ts";
import { bytesOf, howOf, only, summary, testPlan } from "../plan.test-support.ts";
import { attachTerminal, bindConsole, openTerminal } from "./console.ts";

describe("openTerminal", () => {
  it("opens the master in the container without following links, and the slave from the master", () => {
    const { program, plan } = testPlan({});
    const { slave } = openTerminal(program, plan.root, plan.hostProc);
    const [master] = program.operations;
    expect(howOf(master).resolve).toBe(RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS);
    const [unlock, peer] = only(program, "ioctl");
    expect(unlock?.args.slice(0, 2)).toEqual([master?.into, TIOCSPTLCK]);
    expect(peer?.args.slice(0, 2)).toEqual([master?.into, TIOCGPTPEER]);
    expect(peer?.into).toBe(slave);
    expect(program.operations.every(({ pointer }) => pointer === "/process/terminal")).toBe(true);
  });

  it("sends the master to the console socket, then closes both", () => {
    const { program, plan } = testPlan({});
    const socket = plan.hostProc;
    openTerminal(program, plan.root, socket);
    const master = program.operations[0]?.into;
    expect(only(program, "store").some(({ args }) => args[1] === master)).toBe(true);
    expect(only(program, "sendmsg")[0]?.args[0]).toBe(socket);
    expect(only(program, "close").map(({ args }) => args[0])).toEqual([master, socket]);
  });

  it("refuses a ptmx that isn't on a devpts", () => {
    const { program, plan } = testPlan({});
    const { check } = openTerminal(program, plan.root, plan.hostProc);
    const statfs = new Uint8Array(120);
    const reply: Reply = { results: [], outputs: [statfs], failure: undefined };
    expect(() => check(reply)).toThrow(/^\/process\/terminal: .* not on a devpts/);
    new DataView(statfs.buffer).setBigUint64(0, 0x1cd1n, true);
    expect(() => check(reply)).not.toThrow();
  });
});

it("bindConsole binds the slave itself to a file, without following a link", () => {
  const { program, plan } = testPlan({});
  const slave = plan.hostProc;
  bindConsole(program, plan, slave);
  expect(howOf(program.operations[0]).resolve & RESOLVE_NO_SYMLINKS).toBe(RESOLVE_NO_SYMLINKS);
  const [copy] = only(program, "open_tree");
  expect(copy?.args.slice(0, 2)).toEqual([slave, ""]);
  expect(summary(program.operations)).toContain("move_mount /dev/console");
});

describe("attachTerminal", () => {
  function planned(consoleSize?: Process["consoleSize"]) {
    const { program, plan } = testPlan({});
    const process: Process = { cwd: "/", args: ["sh"], ...(consoleSize !== undefined && { consoleSize }) };
    attachTerminal(program, plan.hostProc, process);
    return program;
  }

  it("makes the slave the standard streams and the controlling terminal", () => {
    const program = planned();
    expect(only(program, "dup3").map(({ args }) => args[1])).toEqual([0, 1, 2]);
    expect(only(program, "ioctl").map(({ args }) => args)).toEqual([[0, TIOCSCTTY, 0]]);
  });

  it("sets the size, rows first", () => {
    const operation = planned({ height: 24, width: 80 }).operations.at(-1);
    expect(operation).toMatchObject({ call: "ioctl", pointer: "/process/consoleSize" });
    expect(operation?.args[1]).toBe(TIOCSWINSZ);
    expect([...new Uint16Array(bytesOf(operation, 2).buffer)]).toEqual([24, 80, 0, 0]);
  });

  it.each([
    { height: 0, width: 80 },
    { height: 24, width: 0 },
  ])("leaves the size alone for %j", (size) => {
    expect(only(planned(size), "ioctl")).toHaveLength(1);
  });
});
