import { describe, expect, test } from "vitest";
import { parseObject } from "../harness/json.ts";
import { IMAGE } from "../harness/package/machine.ts";
import { SYSTEMS } from "../harness/package/systems.ts";

describe.each(SYSTEMS)("$name", ({ start }) => {
  test("remove after use: nothing is left", async () => {
    const system = await start("engines");
    const { machine } = system;
    await system.installDependencies();
    const bundle = machine.bundle("box", "true");
    await machine.importImage();
    const before = await machine.files();

    await system.install("current");
    await machine.output(["runts", "warm"]);
    await machine.output(["runts", "run", "--bundle", bundle, "box"]);
    await machine.output(["podman", "--runtime", "runts", "run", "--rm", IMAGE, "true"]);
    expect(await system.remove()).toBe("");
    const after = await machine.files();
    expect(after.filter((line) => !before.includes(line))).toEqual([]);
    expect(before.filter((line) => !after.includes(line))).toEqual([]);
  });

  test("remove while containers run: says which are left; with runts installed again, each is deleted as it says", async () => {
    const system = await start("engines");
    const { machine } = system;
    await system.install("current");
    await machine.importImage();
    const bundle = (name: string) => ["--bundle", machine.bundle(name, "sleep 1000"), name];
    await machine.output(["runts", "run", "--detach", ...bundle("running")]);
    await machine.output(["runts", "--root", "/run/other/runts", "create", ...bundle("created")]);
    const podman = (...words: string[]) => machine.output(["podman", "--runtime", "runts", ...words]);
    const id = (await podman("run", "--detach", IMAGE, "sleep", "1000")).trim();

    const names = [
      ["/run/runts", "running"],
      ["/run/other/runts", "created"],
      ["/run/runts", id],
    ];
    const pids = await Promise.all(
      names.map(async ([root = "", name = ""]) => {
        const state = await machine.output(["runts", "--root", root, "state", name]);
        return String(parseObject(state).pid);
      }),
    );
    const living = async () =>
      (await machine.shell(`for pid in ${pids.join(" ")}; do [ ! -e /proc/$pid ] || echo $pid; done`))
        .split("\n")
        .slice(0, -1);

    const said = await system.remove();
    expect(said).toContain("these containers are left");
    const commands = said.split("\n").flatMap((line) => /^ {2}(runts --root .*)$/.exec(line)?.[1] ?? []);
    expect(commands.sort()).toEqual(
      names.map(([root, name]) => `runts --root ${root} delete --force ${name}`).sort(),
    );
    expect(await living()).toEqual(pids);

    await system.install("current");
    for (const command of commands) await machine.shell(command);
    await expect.poll(living).toEqual([]);
    await podman("rm", "--force", id);
  });

  test("remove where another user has records, or names with special characters: they are named or counted, and never part of a command", async () => {
    const system = await start("engines");
    const { machine } = system;
    await system.install("current");
    await machine.shell(`
      record() { mkdir -p "$1"; echo '{"ownPidNamespace":true}' >"$1/state.json"; chown "$2" "$1/state.json"; }
      record /run/lock/other/box nobody
      record '/run/lock/a;id/box' root
      record "$(printf '/run/lock/x\\n/run/y')/box" nobody`);

    const said = await system.remove();
    expect(said.trimEnd().split("\n")).toEqual([
      "runts: these containers of other users are left, and only they can delete them, once runts is installed again:",
      "  /run/lock/other/box, of user nobody",
      "runts: below /run there are more records of containers. Their paths have special characters, so they are not listed.",
    ]);
  });
});
