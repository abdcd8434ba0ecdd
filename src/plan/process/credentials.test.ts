import { describe, expect, it } from "vitest";
import * as prctl from "../../../bindings/abi/prctl.ts";
import type { Capabilities, Process } from "../../spec/types.ts";
import { bytesOf, only, summary, testPlan } from "../plan.test-support.ts";
import { assumeCredentials, capabilitySets, narrowCapabilities, setNoNewPrivileges } from "./credentials.ts";

const ALL = (1n << 41n) - 1n;
const CHOWN = 1n << 0n;
const KILL = 1n << 5n;
const SYS_ADMIN = 1n << 21n;

function withCapabilities(capabilities: Capabilities, permitted = ALL, lastCapability = 40) {
  const warnings: string[] = [];
  const process: Process = { cwd: "/", args: ["sh"], capabilities };
  const options = {
    lastCapability,
    permitted,
    keepSysAdmin: false,
    canSetGroups: true,
    keepsGroups: false,
    warn: (message: string) => warnings.push(message),
  };
  return { process, options, warnings };
}

function planned(
  process: Partial<Process>,
  changes: { keepSysAdmin?: boolean; canSetGroups?: boolean; keepsGroups?: boolean } = {},
  staysDumpable = false,
) {
  const { options } = withCapabilities({});
  const { program } = testPlan({});
  const whole = { cwd: "/", args: ["sh"], ...process };
  assumeCredentials(program, whole, { ...options, ...changes }, staysDumpable);
  return program;
}

/** The effective, permitted and inheritable sets of a capset. */
function capset(program: ReturnType<typeof planned>): bigint[] {
  const bytes = bytesOf(only(program, "capset")[0], 1);
  const words = [...new Uint32Array(bytes.buffer)].map(BigInt);
  return [0, 1, 2].map((set) => (words[set] ?? 0n) | ((words[set + 3] ?? 0n) << 32n));
}

describe("capabilitySets", () => {
  it("turns names into bits, and a missing set into an empty one", () => {
    const { process, options, warnings } = withCapabilities({
      bounding: ["CAP_CHOWN", "CAP_KILL", "CAP_CHECKPOINT_RESTORE"],
      permitted: ["CAP_KILL"],
    });
    expect(capabilitySets(process, options)).toEqual({
      bounding: CHOWN | KILL | (1n << 40n),
      effective: 0n,
      inheritable: 0n,
      permitted: KILL,
      ambient: 0n,
    });
    expect(warnings).toEqual([]);
  });

  it("warns about a capability that the kernel doesn't have, and goes on", () => {
    const { process, options, warnings } = withCapabilities(
      { bounding: ["CAP_NONSENSE", "CAP_BPF", "CAP_KILL"] },
      ALL,
      37,
    );
    expect(capabilitySets(process, options).bounding).toBe(KILL);
    expect(warnings).toEqual([
      "/process/capabilities/bounding/0: CAP_NONSENSE isn't known to this kernel: left out",
      "/process/capabilities/bounding/1: CAP_BPF isn't known to this kernel: left out",
    ]);
  });

  it("warns about a capability that the caller can't grant", () => {
    const { process, options, warnings } = withCapabilities({ effective: ["CAP_KILL", "CAP_CHOWN"] }, KILL);
    expect(capabilitySets(process, options).effective).toBe(KILL);
    expect(warnings).toEqual([
      "/process/capabilities/effective/1: CAP_CHOWN can't be granted by this caller: left out",
    ]);
  });

  it("keeps only those ambient capabilities that are permitted and inheritable", () => {
    const { process, options, warnings } = withCapabilities({
      permitted: ["CAP_KILL", "CAP_CHOWN"],
      inheritable: ["CAP_KILL"],
      ambient: ["CAP_KILL", "CAP_CHOWN"],
    });
    expect(capabilitySets(process, options).ambient).toBe(KILL);
    expect(warnings).toEqual([
      "/process/capabilities/ambient/1: can't raise ambient capability CAP_CHOWN: it is not both permitted and inheritable",
    ]);
  });
});

describe("assumeCredentials", () => {
  it("drops the bounding set as root, changes groups and user, then sets the capabilities", () => {
    const program = planned({
      user: { uid: 1000, gid: 100, additionalGids: [5, 20] },
      capabilities: { bounding: ["CAP_KILL"] },
    });
    const calls = program.operations.map(({ call }) => call);
    expect(calls.filter((call) => call !== "prctl")).toEqual([
      "setgroups",
      "setresgid",
      "setresuid",
      "capset",
    ]);
    expect(program.operations[calls.indexOf("setgroups") - 1]?.args[0]).toBe(prctl.PR_SET_KEEPCAPS);
    const dropped = only(program, "prctl").filter(({ args }) => args[0] === prctl.PR_CAPBSET_DROP);
    expect(dropped).toHaveLength(40);
    expect(dropped.map(({ args }) => args[1])).not.toContain(5);
    expect(Math.max(...dropped.map((operation) => program.operations.indexOf(operation)))).toBeLessThan(
      calls.indexOf("setgroups"),
    );
    expect(only(program, "setresuid")[0]?.args).toEqual([1000, 1000, 1000]);
    expect(only(program, "setresgid")[0]?.args).toEqual([100, 100, 100]);
    const [groups] = only(program, "setgroups");
    expect(groups?.args[0]).toBe(2);
    expect([...new Uint32Array(bytesOf(groups, 1).buffer)]).toEqual([5, 20]);
  });

  it.each([
    ["clears dumpable", false, 0],
    ["sets dumpable for a caller that needs it", true, 1],
  ])(
    "%s right after the change of user, while the process has all of its capabilities",
    (_, stays, value) => {
      const { operations } = planned({ user: { uid: 1000, gid: 100 } }, {}, stays);
      const changed = operations.findIndex(({ call }) => call === "setresuid");
      expect(operations[changed + 1]).toMatchObject({
        call: "prctl",
        args: [prctl.PR_SET_DUMPABLE, value, 0, 0, 0],
      });
      expect(operations.slice(changed + 2).map(({ call }) => call)).toContain("capset");
      expect(operations.slice(0, changed).map(({ call }) => call)).not.toContain("capset");
    },
  );

  it("is root without groups where the config has no user", () => {
    const program = planned({});
    expect(only(program, "setgroups")[0]?.args[0]).toBe(0);
    expect(only(program, "setresuid")[0]?.args).toEqual([0, 0, 0]);
  });

  it("leaves the groups alone if setgroups is denied", () => {
    expect(only(planned({}, { canSetGroups: false }), "setgroups")).toEqual([]);
  });

  it("refuses additional groups if setgroups is denied", () => {
    const own = { user: { uid: 0, gid: 5, additionalGids: [5] } };
    expect(only(planned(own, { canSetGroups: false }), "setgroups")).toEqual([]);
    const further = { user: { uid: 0, gid: 5, additionalGids: [5, 6] } };
    expect(() => planned(further, { canSetGroups: false })).toThrow(
      expect.objectContaining({ pointer: "/process/user/additionalGids" }),
    );
  });

  it("leaves the caller's groups alone if they are kept, even if setgroups is allowed", () => {
    const further = { user: { uid: 0, gid: 5, additionalGids: [6] } };
    for (const canSetGroups of [true, false]) {
      expect(only(planned(further, { canSetGroups, keepsGroups: true }), "setgroups")).toEqual([]);
    }
  });

  it("passes the sets to capset in the kernel's order", () => {
    const capabilities: Capabilities = {
      effective: ["CAP_CHOWN"],
      permitted: ["CAP_CHOWN", "CAP_CHECKPOINT_RESTORE"],
      inheritable: ["CAP_KILL"],
    };
    expect(capset(planned({ capabilities }))).toEqual([CHOWN, CHOWN | (1n << 40n), KILL]);
  });

  it("keeps CAP_SYS_ADMIN effective and permitted, never inheritable, for seccomp", () => {
    const program = planned({ capabilities: { bounding: [] } }, { keepSysAdmin: true });
    expect(capset(program)).toEqual([SYS_ADMIN, SYS_ADMIN, 0n]);
    const dropped = only(program, "prctl").filter(({ args }) => args[0] === prctl.PR_CAPBSET_DROP);
    expect(dropped.map(({ args }) => args[1])).toContain(21);
  });

  it("clears the ambient set, then raises the capabilities of the config", () => {
    const set = ["CAP_CHOWN", "CAP_KILL"];
    const program = planned({ capabilities: { permitted: set, inheritable: set, ambient: set } });
    const ambient = only(program, "prctl").filter(({ args }) => args[0] === prctl.PR_CAP_AMBIENT);
    expect(ambient.map(({ args }) => args.slice(1, 3))).toEqual([
      [prctl.PR_CAP_AMBIENT_CLEAR_ALL, 0],
      [prctl.PR_CAP_AMBIENT_RAISE, 0],
      [prctl.PR_CAP_AMBIENT_RAISE, 5],
    ]);
    expect(summary(program.operations).slice(-2)).toEqual(["prctl CAP_CHOWN", "prctl CAP_KILL"]);
    expect(only(program, "capset")[0]).toBe(program.operations.at(-4));
  });
});

it.each([
  [true, 1],
  [false, 0],
  [undefined, 0],
])("noNewPrivileges %s", (noNewPrivileges, count) => {
  const { program } = testPlan({});
  const process: Process = {
    cwd: "/",
    args: ["sh"],
    ...(noNewPrivileges !== undefined && { noNewPrivileges }),
  };
  setNoNewPrivileges(program, process);
  expect(program.operations).toHaveLength(count);
  if (count > 0) expect(program.operations[0]?.args).toEqual([prctl.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0]);
});

describe("narrowCapabilities", () => {
  /** Chown, DAC override, setgid, setuid and setpcap. */
  const NEEDED = 0b1_1100_0011n;

  function narrowed(
    capabilities: Capabilities,
    changes: { keepSysAdmin?: boolean; permitted?: bigint } = {},
  ) {
    const { process, options, warnings } = withCapabilities(capabilities);
    const { program } = testPlan({});
    narrowCapabilities(program, process, { ...options, ...changes }, [18]);
    expect(warnings).toEqual([]);
    return capset(program);
  }

  it("keeps what the process gets, what its set-up needs, and nothing else", () => {
    const kept = NEEDED | KILL | (1n << 18n);
    expect(narrowed({ permitted: ["CAP_KILL"], bounding: ["CAP_SYS_BOOT"] })).toEqual([kept, kept, 0n]);
  });

  it("doesn't warn about an unknown capability: assumeCredentials does", () => {
    expect(narrowed({ permitted: ["CAP_NONSENSE"] })[1]).toBe(NEEDED | (1n << 18n));
  });

  it("keeps CAP_SYS_ADMIN for a seccomp filter that needs it", () => {
    expect(narrowed({}, { keepSysAdmin: true })[1]).toBe(NEEDED | (1n << 18n) | SYS_ADMIN);
  });

  it("asks for no capability that the runtime lacks", () => {
    expect(narrowed({ permitted: ["CAP_KILL"] }, { permitted: CHOWN })).toEqual([CHOWN, CHOWN, 0n]);
  });
});
