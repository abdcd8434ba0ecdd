import { describe, expect, it } from "vitest";
import type { SeccompArg, SeccompSyscall } from "../spec/types.ts";
import type { Finding } from "./finding.ts";
import { linuxRules } from "./linux-rules.ts";
import { mostSimilar } from "./similar.ts";
import { summary, validationText } from "./text.ts";
import { unknownProperties } from "./unknown-properties.ts";

describe("mostSimilar", () => {
  it.each([
    ["noNewPriviliges", "noNewPrivileges"],
    ["ReadOnly", "readonly"],
    ["limits", "limit"],
    ["x", undefined],
    ["somethingElse", undefined],
  ])("%s: %s", (name, meant) => {
    expect(mostSimilar(name, ["noNewPrivileges", "readonly", "limit", "y"])).toBe(meant);
  });
});

function unknown(config: object): string[] {
  const pointers: string[] = [];
  unknownProperties(config, ({ pointer }) => pointers.push(pointer));
  return pointers;
}

describe("unknownProperties", () => {
  it("finds unknown names at any depth, in lists and below free names", () => {
    expect(unknown({ mounts: [{ destination: "/x", opions: [] }] })).toEqual(["/mounts/0/opions"]);
    expect(unknown({ linux: { resources: { rdma: { any: { hcaHandles: 1, hca: 2 } } } } })).toEqual([
      "/linux/resources/rdma/any/hca",
    ]);
    expect(unknown({ linux: { seccomp: { syscalls: [{ arg: [] }] }, "a/b~c": 1 } })).toEqual([
      "/linux/seccomp/syscalls/0/arg",
      "/linux/a~1b~0c",
    ]);
  });

  it("ignores other platforms, annotations and properties of cgroup v1", () => {
    const config = {
      windows: { x: 1 },
      annotations: { "org.x": "y" },
      linux: { sysctl: { "kernel.x": "1" }, resources: { memory: { kernel: 1 }, network: { classID: 1 } } },
    };
    expect(unknown(config)).toEqual([]);
  });
});

type Linux = NonNullable<Parameters<typeof linuxRules>[0]["linux"]>;

function rules(linux: Linux): string[] {
  const found: string[] = [];
  const config = {
    ociVersion: "1.2.0",
    root: { path: "r" },
    linux: { namespaces: [{ type: "mount" as const }], ...linux },
  };
  linuxRules(config, ({ severity, pointer }) => found.push(`${severity} ${pointer}`));
  return found;
}

describe("linuxRules", () => {
  it("judges a filter by rules without arguments", () => {
    const syscalls = (
      names: string[],
      action: SeccompSyscall["action"],
      args: SeccompArg[] = [],
    ): SeccompSyscall => ({ names, action, args });
    const all = ["execve", "exit_group", "mmap", "mprotect", "brk", "read", "close", "openat", "newfstatat"];
    expect(
      rules({ seccomp: { defaultAction: "SCMP_ACT_ERRNO", syscalls: [syscalls(all, "SCMP_ACT_ALLOW")] } }),
    ).toEqual([]);
    expect(
      rules({
        seccomp: {
          defaultAction: "SCMP_ACT_ALLOW",
          syscalls: [syscalls(["execve"], "SCMP_ACT_ERRNO", [{ index: 0, value: 0n, op: "SCMP_CMP_EQ" }])],
        },
      }),
    ).toEqual([]);
    expect(
      rules({
        seccomp: { defaultAction: "SCMP_ACT_ALLOW", syscalls: [syscalls(["exit_group"], "SCMP_ACT_ERRNO")] },
      }),
    ).toEqual(["warning /linux/seccomp/syscalls/0"]);
    expect(rules({ seccomp: { defaultAction: "SCMP_ACT_KILL" } })[0]).toBe(
      "error /linux/seccomp/defaultAction",
    );
    expect(rules({ seccomp: { defaultAction: "SCMP_ACT_LOG" } })).toEqual([]);
  });

  it("finds ranges of ids that overlap inside or outside, but not adjacent ones", () => {
    const range = (containerID: number, hostID: number, size: number) => ({ containerID, hostID, size });
    expect(rules({ uidMappings: [range(0, 1000, 10), range(10, 1010, 10)] })).toEqual([]);
    expect(rules({ uidMappings: [range(0, 1000, 10), range(10, 1009, 10)] })).toEqual([
      "error /linux/uidMappings/1/hostID",
    ]);
  });
});

describe("validationText", () => {
  const finding: Finding = {
    severity: "error",
    rule: "r",
    pointer: "/x",
    line: 3,
    message: "is wrong",
    hint: "do it",
  };

  it("shows place, message, rule and hint", () => {
    const text = validationText({
      file: "c.json",
      errors: 1,
      warnings: 0,
      findings: [finding],
      notes: ["a note"],
    });
    expect(text).toBe(
      "c.json: 1 error, no warnings\n\nerror: line 3, /x: is wrong [r]\n  do it\n\nnote: a note\n",
    );
  });

  it("keeps a message on one line, whatever it quotes", () => {
    const forged = "x\nerror: forged\u202e";
    const { severity, rule } = finding;
    const findings = [{ severity, rule, pointer: `/${forged}`, message: forged, hint: forged }];
    const shown = "x\\nerror: forged\\u202e";
    expect(validationText({ file: forged, errors: 1, warnings: 0, findings, notes: [forged] })).toBe(
      `${shown}: 1 error, no warnings\n\nerror: /${shown}: ${shown} [r]\n  ${shown}\n\nnote: ${shown}\n`,
    );
  });

  it("counts errors and warnings", () => {
    expect(summary({ file: "", errors: 0, warnings: 0, findings: [], notes: [] })).toBe(
      "no errors, no warnings",
    );
    expect(summary({ file: "", errors: 2, warnings: 1, findings: [], notes: [] })).toBe(
      "2 errors, 1 warning",
    );
  });
});
