import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { IntelRdt } from "../spec/types.ts";
import { ContainerGroups, type Directories, joinGroups, removeGroups, updateSchemata } from "./group.ts";

/**
 * A directory tree in place of resctrl, which few machines have. As in the kernel's, a new directory has control files at once, and is
 * removed together with them. Unlike those, its files collect all that is written.
 */
let root = "";

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "runts-resctrl-"));
  mkdirSync(join(root, "info/MB"), { recursive: true });
  writeFileSync(join(root, "info/last_cmd_status"), "ok\n");
  writeFileSync(join(root, "info/MB/bandwidth_gran"), "10\n");
  fillClass(root);
});

afterEach(() => {
  rmSync(root, { recursive: true, force: true });
});

function fillClass(path: string): void {
  mkdirSync(join(path, "mon_groups"), { recursive: true });
  for (const file of ["tasks", "schemata"]) writeFileSync(join(path, file), "");
}

const directories: Directories = {
  make(path) {
    mkdirSync(path);
    if (path.includes("/mon_groups/")) writeFileSync(join(path, "tasks"), "");
    else fillClass(path);
  },
  remove(path) {
    rmSync(path, { recursive: true });
  },
};

function groups(rdt: IntelRdt, id = "box"): ContainerGroups {
  return new ContainerGroups(root, id, rdt, directories);
}

function makeAndEnter(rdt: IntelRdt): ContainerGroups {
  const created = groups(rdt);
  created.make();
  created.enter(4711);
  return created;
}

function text(path: string): string {
  return readFileSync(join(root, path), "utf8");
}

/** Creates a class with limits, as an administrator would. */
function preconfigured(name: string, schemata: string): void {
  directories.make(join(root, name));
  writeFileSync(join(root, name, "schemata"), schemata);
}

const ALL = ["info", "mon_groups", "schemata", "tasks"];

describe("a class without closID", () => {
  it("has the container's id, gets limits in order, then the process, and is removed with the container", () => {
    const { saved } = makeAndEnter({ schemata: ["L2:0=1"], memBwSchema: "MB:0=20", l3CacheSchema: "L3:0=f" });
    expect(text("box/schemata")).toBe("L3:0=f\nMB:0=20\nL2:0=1\n");
    expect(text("box/tasks")).toBe("4711");
    removeGroups(saved, directories);
    expect(readdirSync(root).sort()).toEqual(ALL);
  });

  it("gets no limits if the config has none", () => {
    makeAndEnter({});
    expect(text("box/schemata")).toBe("");
    expect(text("box/tasks")).toBe("4711");
  });

  it("is used if it exists, and stays", () => {
    preconfigured("box", "");
    removeGroups(makeAndEnter({ enableMonitoring: true }).saved, directories);
    expect(text("box/tasks")).toBe("4711");
    expect(readdirSync(join(root, "box/mon_groups"))).toEqual([]);
  });
});

describe("a class with closID", () => {
  it("without limits in the config is used as it is, and stays", () => {
    preconfigured("gold", "L3:0=f\n");
    const { saved } = makeAndEnter({ closID: "gold" });
    expect(text("gold/tasks")).toBe("4711");
    expect(text("gold/schemata")).toBe("L3:0=f\n");
    expect(saved.own).toEqual([]);
  });

  it("without limits in the config has to exist", () => {
    expect(() => groups({ closID: "gold" })).toThrow(/^\/linux\/intelRdt\/closID: .*\/gold: /);
  });

  it("with limits is created if missing, and stays", () => {
    const { saved } = makeAndEnter({ closID: "gold", l3CacheSchema: "L3:0=f" });
    expect(text("gold/schemata")).toBe("L3:0=f\n");
    removeGroups(saved, directories);
    expect(existsSync(join(root, "gold"))).toBe(true);
  });

  it("with the limits that it already has is used", () => {
    preconfigured("gold", "    L3:0=00f;1=ff\n    MB:0=20\n");
    makeAndEnter({ closID: "gold", l3CacheSchema: "L3:0=f", memBwSchema: "MB:0=15" });
    expect(text("gold/tasks")).toBe("4711");
  });

  it.each<[IntelRdt, string]>([
    [{ l3CacheSchema: "L3:0=3" }, "l3CacheSchema"],
    [{ memBwSchema: "MB:0=50" }, "memBwSchema"],
  ])("with limits that differ from its own is refused: %j", (rdt, name) => {
    preconfigured("gold", "L3:0=f\nMB:0=20\n");
    expect(() => groups({ closID: "gold", ...rdt })).toThrow(`/linux/intelRdt/${name}: `);
    expect(text("gold/schemata")).toBe("L3:0=f\nMB:0=20\n");
  });

  it("/ is the root class", () => {
    const { saved } = makeAndEnter({ closID: "/", enableMonitoring: true });
    expect(text("tasks")).toBe("4711");
    expect(text("mon_groups/box/tasks")).toBe("4711");
    expect(saved.own).toEqual([join(root, "mon_groups/box")]);
  });

  it.each(["info", "mon_groups"])("%s is not a class", (closID) => {
    expect(() => groups({ closID, schemata: ["L3:0=f"] })).toThrow("this is not a class of service");
  });
});

describe("monitoring", () => {
  it("has a group below the class, which is removed with the container", () => {
    preconfigured("gold", "");
    const { saved } = makeAndEnter({ closID: "gold", enableMonitoring: true });
    expect(text("gold/mon_groups/box/tasks")).toBe("4711");
    joinGroups(saved, 4712);
    expect(text("gold/mon_groups/box/tasks")).toBe("47114712");
    removeGroups(saved, directories);
    expect(readdirSync(join(root, "gold/mon_groups"))).toEqual([]);
    removeGroups(saved, directories);
  });

  it("of the container's own class is removed before the class", () => {
    const { saved } = makeAndEnter({ enableMonitoring: true });
    expect(saved.own).toEqual([join(root, "box/mon_groups/box"), join(root, "box")]);
  });

  it("fails with the kernel's reason if its group can't be created, and undo removes everything", () => {
    const full: Directories = {
      ...directories,
      make(path) {
        if (!path.includes("/mon_groups/")) return directories.make(path);
        writeFileSync(join(root, "info/last_cmd_status"), "out of RMIDs\n");
        throw Object.assign(new Error("no space"), { code: "ENOSPC" });
      },
    };
    const created = new ContainerGroups(
      root,
      "box",
      { closID: "new", schemata: ["L3:0=f"], enableMonitoring: true },
      full,
    );
    expect(() => created.make()).toThrow(
      /^\/linux\/intelRdt\/enableMonitoring: .*: no space left on device: out of RMIDs$/i,
    );
    created.undo();
    expect(readdirSync(root).sort()).toEqual(ALL);
  });

  it("fails if its group exists already", () => {
    preconfigured("gold", "");
    directories.make(join(root, "gold/mon_groups/box"));
    expect(() => groups({ closID: "gold", enableMonitoring: true })).toThrow(
      "/linux/intelRdt/enableMonitoring: ",
    );
  });
});

it("undo removes a class that make has created, and no other", () => {
  preconfigured("gold", "");
  makeAndEnter({ closID: "gold" }).undo();
  makeAndEnter({ closID: "new", schemata: ["L3:0=f"] }).undo();
  expect(readdirSync(root).sort()).toEqual(["gold", ...ALL]);
});

it("an update writes to the container's class", () => {
  preconfigured("gold", "");
  const { saved } = makeAndEnter({ closID: "gold" });
  updateSchemata(saved, root, [{ value: "MB:0=70", pointer: "--mem-bw-schema" }]);
  expect(text("gold/schemata")).toBe("MB:0=70\n");
  rmSync(join(root, "gold/schemata"));
  const again = () => updateSchemata(saved, root, [{ value: "MB:0=80", pointer: "--mem-bw-schema" }]);
  expect(again).toThrow('--mem-bw-schema: write "MB:0=80": ');
});
