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
 * A directory tree in place of resctrl, which few machines have. It imitates what the kernel does beside files: a new directory
 * has its control files at once, and one is removed with them. Files collect what is written, line by line.
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

function made(rdt: IntelRdt): ContainerGroups {
  const created = groups(rdt);
  created.make();
  created.enter(4711);
  return created;
}

function text(path: string): string {
  return readFileSync(join(root, path), "utf8");
}

/** A class that somebody has configured before. */
function preconfigured(name: string, schemata: string): void {
  directories.make(join(root, name));
  writeFileSync(join(root, name, "schemata"), schemata);
}

const ALL = ["info", "mon_groups", "schemata", "tasks"];

describe("a group without closID", () => {
  it("has the container's id, gets the limits in order and the process, and goes with the container", () => {
    const { saved } = made({ schemata: ["L2:0=1"], memBwSchema: "MB:0=20", l3CacheSchema: "L3:0=f" });
    expect(text("box/schemata")).toBe("L3:0=f\nMB:0=20\nL2:0=1\n");
    expect(text("box/tasks")).toBe("4711");
    removeGroups(saved, directories);
    expect(readdirSync(root).sort()).toEqual(ALL);
  });

  it("gets no limits where none are asked for", () => {
    made({});
    expect(text("box/schemata")).toBe("");
    expect(text("box/tasks")).toBe("4711");
  });

  it("that existed before is used, and stays", () => {
    preconfigured("box", "");
    removeGroups(made({ enableMonitoring: true }).saved, directories);
    expect(text("box/tasks")).toBe("4711");
    expect(readdirSync(join(root, "box/mon_groups"))).toEqual([]);
  });
});

describe("a group with closID", () => {
  it("without limits is the one that exists, and stays as it is", () => {
    preconfigured("gold", "L3:0=f\n");
    const { saved } = made({ closID: "gold" });
    expect(text("gold/tasks")).toBe("4711");
    expect(text("gold/schemata")).toBe("L3:0=f\n");
    expect(saved.own).toEqual([]);
  });

  it("without limits has to exist", () => {
    expect(() => groups({ closID: "gold" })).toThrow(/^\/linux\/intelRdt\/closID: .*\/gold: /);
  });

  it("with limits is made where it doesn't exist, and stays", () => {
    const { saved } = made({ closID: "gold", l3CacheSchema: "L3:0=f" });
    expect(text("gold/schemata")).toBe("L3:0=f\n");
    removeGroups(saved, directories);
    expect(existsSync(join(root, "gold"))).toBe(true);
  });

  it("with the limits that it has already is used", () => {
    preconfigured("gold", "    L3:0=00f;1=ff\n    MB:0=20\n");
    made({ closID: "gold", l3CacheSchema: "L3:0=f", memBwSchema: "MB:0=15" });
    expect(text("gold/tasks")).toBe("4711");
  });

  it.each<[IntelRdt, string]>([
    [{ l3CacheSchema: "L3:0=3" }, "l3CacheSchema"],
    [{ memBwSchema: "MB:0=50" }, "memBwSchema"],
  ])("with other limits than it has is an error: %j", (rdt, name) => {
    preconfigured("gold", "L3:0=f\nMB:0=20\n");
    expect(() => groups({ closID: "gold", ...rdt })).toThrow(`/linux/intelRdt/${name}: `);
    expect(text("gold/schemata")).toBe("L3:0=f\nMB:0=20\n");
  });

  it("/ is the root", () => {
    const { saved } = made({ closID: "/", enableMonitoring: true });
    expect(text("tasks")).toBe("4711");
    expect(text("mon_groups/box/tasks")).toBe("4711");
    expect(saved.own).toEqual([join(root, "mon_groups/box")]);
  });

  it.each(["info", "mon_groups"])("%s is no class", (closID) => {
    expect(() => groups({ closID, schemata: ["L3:0=f"] })).toThrow("this is no class of service");
  });
});

describe("monitoring", () => {
  it("has a group in that of the class, which goes with the container", () => {
    preconfigured("gold", "");
    const { saved } = made({ closID: "gold", enableMonitoring: true });
    expect(text("gold/mon_groups/box/tasks")).toBe("4711");
    joinGroups(saved, 4712);
    expect(text("gold/mon_groups/box/tasks")).toBe("47114712");
    removeGroups(saved, directories);
    expect(readdirSync(join(root, "gold/mon_groups"))).toEqual([]);
    removeGroups(saved, directories);
  });

  it("of a container's own class is removed before the class", () => {
    const { saved } = made({ enableMonitoring: true });
    expect(saved.own).toEqual([join(root, "box/mon_groups/box"), join(root, "box")]);
  });

  it("that can't be made is an error, with the kernel's words, and nothing stays", () => {
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

  it("of that name that exists already is an error", () => {
    preconfigured("gold", "");
    directories.make(join(root, "gold/mon_groups/box"));
    expect(() => groups({ closID: "gold", enableMonitoring: true })).toThrow(
      "/linux/intelRdt/enableMonitoring: ",
    );
  });
});

it("undo removes a class that create has made, and no other", () => {
  preconfigured("gold", "");
  made({ closID: "gold" }).undo();
  made({ closID: "new", schemata: ["L3:0=f"] }).undo();
  expect(readdirSync(root).sort()).toEqual(["gold", ...ALL]);
});

it("an update writes to the class that the container is in", () => {
  preconfigured("gold", "");
  const { saved } = made({ closID: "gold" });
  updateSchemata(saved, root, [{ value: "MB:0=70", pointer: "--mem-bw-schema" }]);
  expect(text("gold/schemata")).toBe("MB:0=70\n");
  rmSync(join(root, "gold/schemata"));
  const again = () => updateSchemata(saved, root, [{ value: "MB:0=80", pointer: "--mem-bw-schema" }]);
  expect(again).toThrow('--mem-bw-schema: write "MB:0=80": ');
});
