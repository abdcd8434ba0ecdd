import { describe, expect, it } from "vitest";
import { compareExplanations, differencesText } from "./compare.ts";
import { Names } from "./names.ts";
import type { ExplainedOperation, Explanation } from "./operation.ts";
import { RegisterNames } from "./register-names.ts";
import { VirtualFiles } from "./simulation/virtual-files.ts";
import { callText, explanationText } from "./text.ts";

function operation(call: string, args: string[], more: Partial<ExplainedOperation> = {}): ExplainedOperation {
  return { step: 2, by: "init", pointer: "/mounts/0", purpose: "mount", call, args, ...more };
}

function explanation(operations: ExplainedOperation[], bundle = "/b"): Explanation {
  return { id: "x", bundle, operations, warnings: [], notes: [] };
}

describe("Names", () => {
  it("replaces the stand-in of a descriptor, and the numbers beside it, by a name", () => {
    const names = new Names();
    const first = names.descriptor("the channel");
    const second = names.descriptor("fd of /x");
    expect(names.named(`close_range(3, ${first - 1}), ${second}, ${second + 1}`)).toBe(
      "close_range(3, <the channel> - 1), <fd of /x>, <fd of /x> + 1",
    );
  });

  it("replaces the stand-in of a pid by a name, also in the name of a descriptor", () => {
    const names = new Names();
    const pid = names.process("init");
    const fd = names.descriptor(`fd of /proc/${pid}/uid_map`);
    expect(names.named(`/proc/${pid}/uid_map ${fd}`)).toBe(
      "/proc/<pid of init>/uid_map <fd of /proc/init/uid_map>",
    );
  });

  it("leaves other numbers as they are", () => {
    expect(new Names().named("1000000000 2000000000 4294967295")).toBe("1000000000 2000000000 4294967295");
  });
});

describe("RegisterNames", () => {
  it("gives no name twice, and keeps that of a register that is written again under a condition", () => {
    const registers = new RegisterNames();
    registers.write(1, "fd of /dev", false);
    registers.write(2, "fd of /dev", false);
    registers.write(1, "other", true);
    expect([registers.name(1), registers.name(2), registers.name(3)]).toEqual([
      "fd of /dev",
      "fd of /dev #2",
      "register 3",
    ]);
    registers.write(1, "other", false);
    expect(registers.name(1)).toBe("other");
  });
});

describe("compareExplanations", () => {
  it("finds what is removed and added, in order", () => {
    const one = operation("one", []);
    const two = operation("two", []);
    const three = operation("three", []);
    const four = operation("four", []);
    const found = compareExplanations(explanation([one, two, three]), explanation([one, four, three]));
    expect(found.map(({ change, operation: { call } }) => [change, call])).toEqual([
      ["removed", "two"],
      ["added", "four"],
    ]);
  });

  it("ignores the place in a list, the bundle's path and the number of a name", () => {
    const before = operation("move_mount", ["<fd of /a/rootfs>", "<fd of /dev #2>"], {
      pointer: "/mounts/1",
    });
    const after = operation("move_mount", ["<fd of /b/rootfs>", "<fd of /dev #3>"], { pointer: "/mounts/2" });
    expect(compareExplanations(explanation([before], "/a"), explanation([after], "/b"))).toEqual([]);
  });

  it("has the form of a diff as text", () => {
    const differences = compareExplanations(explanation([]), explanation([operation("umask", ["022"])]));
    expect(differencesText(differences, ["a", "b"], { brief: false }).split("\n").slice(0, 2)).toEqual([
      "--- a",
      "+++ b",
    ]);
    expect(differencesText(differences, ["a", "b"], { brief: false })).toContain("+      umask(022)");
    expect(differencesText([], ["a", "b"], { brief: false })).toContain("Both do the same.");
  });
});

describe("explanationText", () => {
  it("groups calls by purpose and step, without operations of the stub itself", () => {
    const text = explanationText(
      explanation([
        operation("fsopen", ['"proc"'], { result: "<new proc>" }),
        operation("copy", ["<new proc>"]),
        operation("close", ["<new proc>"], { if: { result: "<new proc>", is: "ok" } }),
        operation("execve", [], { step: 8, pointer: "", purpose: "run" }),
      ]),
      { brief: false },
    );
    expect(text.split("\n").slice(2)).toEqual([
      "",
      "Step 2 of the lifecycle: the environment is made, as config.json says",
      expect.stringMatching(/^ {2}init: mount +\/mounts\/0$/),
      '      fsopen("proc") = <new proc>',
      "      if <new proc> is there: close(<new proc>)",
      "",
      "Step 8 of the lifecycle: the program is run",
      "  init: run",
      "      execve()",
      "",
    ]);
  });

  it("ends with the error, the warnings and the notes", () => {
    const text = explanationText(
      {
        ...explanation([]),
        warnings: ["a warning"],
        notes: ["a note"],
        error: { message: "/x: no", pointer: "/x" },
      },
      { brief: true },
    );
    expect(text).toContain("Here it would fail: /x: no\n\nWarnings\n  a warning\n\nNotes\n  a note\n");
  });

  it("shows a property of a unit as name and value, and does not count it as an operation", () => {
    const property = operation("property", ["TasksMax", "uint64 7"]);
    const text = explanationText(explanation([operation("Manager.Start", []), property]), { brief: false });
    expect(text).toContain("\n      TasksMax = uint64 7\n");
    expect(text).toContain(": 1 operations.");
  });

  it("shows a condition in front of the call", () => {
    const conditional = operation("mkdirat", ["3"], { if: { result: "<fd>", is: "failed" } });
    expect(callText(conditional)).toBe("if <fd> is not there: mkdirat(3)");
  });
});

describe("VirtualFiles", () => {
  it("decides about files that were made or removed, and what is below them", () => {
    const files = new VirtualFiles();
    files.make("/run/c", "directory");
    files.make("/run/c/state", "file", "text");
    files.rename("/run/c/state", "/run/c/new");
    expect([files.get("/run/c/new")?.content, files.get("/run/c/state")]).toEqual(["text", undefined]);
    expect([files.decides("/run/c/other"), files.decides("/run/d")]).toEqual([true, false]);
  });

  it("gives a new cgroup the controllers that its parent enables", () => {
    const files = new VirtualFiles();
    files.readHost = (path) => (path === "/sys/fs/cgroup/cgroup.subtree_control" ? "pids\n" : "");
    files.make("/sys/fs/cgroup/x", "directory");
    expect(files.get("/sys/fs/cgroup/x/cgroup.controllers")?.content).toBe("pids\n");
    expect(files.get("/sys/fs/cgroup/x/pids.max")).toBeDefined();
    expect(files.get("/sys/fs/cgroup/x/memory.max.something")).toBeUndefined();
    expect(files.get("/sys/fs/cgroup/x/io.max")).toBeUndefined();
  });

  it("has all controllers where the host has no cgroup v2", () => {
    const files = new VirtualFiles();
    files.assumesCgroups = true;
    files.make("/sys/fs/cgroup/x", "directory");
    expect(files.get("/sys/fs/cgroup/x/cgroup.controllers")?.content).toContain("memory");
    expect(files.get("/sys/fs/cgroup/x/io.max")).toBeDefined();
  });
});
