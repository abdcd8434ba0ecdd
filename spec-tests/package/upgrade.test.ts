import { describe, expect, test } from "vitest";
import { parseObject } from "../harness/json.ts";
import { IMAGE, type Machine } from "../harness/package/machine.ts";
import { SYSTEMS } from "../harness/package/systems.ts";

/** Runs a container whose program is a line of shell, and returns its pid. */
async function runDetached(machine: Machine, name: string, script: string): Promise<unknown> {
  await machine.output(["runts", "run", "--detach", "--bundle", machine.bundle(name, script), name]);
  return (await stateOf(machine, name)).pid;
}

async function stateOf(machine: Machine, name: string): Promise<Record<string, unknown>> {
  return parseObject(await machine.output(["runts", "state", name]));
}

async function untilStopped(machine: Machine, name: string): Promise<void> {
  await expect.poll(async () => (await stateOf(machine, name)).status).toBe("stopped");
}

describe.each(SYSTEMS)("$name", ({ start }) => {
  test("upgrade from 0.1.0 while containers run: they go on, and the new version manages them", async () => {
    const system = await start("engines");
    const { machine } = system;
    await system.install("older");
    expect(await machine.output(["runts", "--version"])).toMatch(/^runts version 0\.1\.0\n/);
    await machine.importImage();
    const running = await runDetached(machine, "running", "sleep 1000");
    const paused = await runDetached(machine, "paused", "sleep 1000");
    await machine.output(["runts", "pause", "paused"]);
    await runDetached(machine, "stopped", "true");
    await untilStopped(machine, "stopped");
    await machine.output(["runts", "create", "--bundle", machine.bundle("created", "sleep 1000"), "created"]);
    const podman = (...words: string[]) => machine.output(["podman", "--runtime", "runts", ...words]);
    const id = (await podman("run", "--detach", "--name", "podmans", IMAGE, "sleep", "1000")).trim();

    expect(await system.install("current")).toBe("");
    expect(await machine.output(["runts", "--version"])).toMatch(/^runts version 1\.0\.0/);
    const list = (await machine.output(["runts", "list", "--quiet"])).trim().split("\n");
    expect(list.sort()).toEqual([id, "created", "paused", "running", "stopped"].sort());
    expect(await stateOf(machine, "running")).toMatchObject({ status: "running", pid: running });
    expect(await stateOf(machine, "paused")).toMatchObject({ status: "paused", pid: paused });
    expect(await machine.output(["runts", "exec", "running", "hostname"])).toBe("box\n");
    await machine.output(["runts", "resume", "paused"]);
    expect(await machine.output(["runts", "exec", "paused", "echo", "goes on"])).toBe("goes on\n");
    await machine.output(["runts", "start", "created"]);
    expect(await stateOf(machine, "created")).toMatchObject({ status: "running" });
    for (const name of ["running", "paused", "created"]) {
      await machine.output(["runts", "kill", name, "KILL"]);
      await untilStopped(machine, name);
    }
    for (const name of ["running", "paused", "created", "stopped"])
      await machine.output(["runts", "delete", name]);
    expect(await podman("exec", "podmans", "echo", "by podman")).toBe("by podman\n");
    await podman("stop", "--time", "0", "podmans");
    await podman("rm", "podmans");
    expect(await podman("ps", "--all", "--quiet")).toBe("");
    expect(await machine.output(["runts", "list", "--quiet"])).toBe("");
  });

  test("upgrade with a warm image: it is renewed, and commands run the new version", async () => {
    const system = await start("engines");
    const { machine } = system;
    const check = ["runts", "warm", "--check"];
    await system.install("older");
    await machine.output(["runts", "warm"]);
    expect(await machine.output(check)).toBe("warm: /usr/lib/runts/runts-warm\n");
    await system.install("current");
    expect(await machine.output(check)).toBe("warm: /usr/lib/runts/runts-warm\n");
    expect(await machine.output(["runts", "--version"])).toMatch(/^runts version 1\.0\.0/);
    await system.downgrade("older");
    expect(await machine.output(check)).toBe("warm: /usr/lib/runts/runts-warm\n");
    expect(await machine.output(["runts", "--version"])).toMatch(/^runts version 0\.1\.0\n/);
  });

  test("upgrade without a warm image: none is made", async () => {
    const system = await start("engines");
    const { machine } = system;
    await system.install("older");
    await system.install("current");
    const { code, stdout } = await machine.run(["runts", "warm", "--check"]);
    expect([code, stdout]).toEqual([1, "cold: there is no image: /usr/lib/runts/runts-warm\n"]);
  });

  test("downgrade below the format of a container's record: the container is refused, and stays for the newer version", async () => {
    const system = await start("engines");
    const { machine } = system;
    await system.install("newer");
    const pid = await runDetached(machine, "box", "sleep 1000");
    await system.downgrade("current");
    await runDetached(machine, "other", "sleep 1000");
    for (const command of [
      ["state", "box"],
      ["exec", "box", "true"],
      ["kill", "box", "KILL"],
      ["delete", "--force", "box"],
    ]) {
      const { code, stderr } = await machine.run(["runts", ...command]);
      expect(code).not.toBe(0);
      expect(stderr).toMatch(
        /^runts: \/run\/runts\/box\/state\.json has format 3, written by runts 1\.1\.0; this is runts 1\.0\.0\S*, which knows formats up to 2: install the newer version, or delete the container with it\n$/,
      );
    }
    const list = await machine.run(["runts", "list", "--quiet"]);
    expect(list).toMatchObject({ code: 0, stdout: "other\n" });
    expect(list.stderr).toContain("/run/runts/box/state.json has format 3");
    await machine.output(["runts", "delete", "--force", "other"]);

    await system.install("newer");
    expect(await stateOf(machine, "box")).toMatchObject({ status: "running", pid });
    await machine.output(["runts", "delete", "--force", "box"]);
    expect(await machine.output(["runts", "list", "--quiet"])).toBe("");
  });
});
