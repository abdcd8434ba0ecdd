import { describe, expect, test } from "vitest";
import type { Machine } from "../harness/package/machine.ts";
import { SYSTEMS } from "../harness/package/systems.ts";

const UNIT = "runts-warm.service";
const WARM = "warm: /usr/lib/runts/runts-warm\n";

const checkWarm = async (machine: Machine) => (await machine.run(["runts", "warm", "--check"])).stdout;

const isEnabled = async (machine: Machine) => (await machine.run(["systemctl", "is-enabled", UNIT])).stdout;

/** The unit's last run, which systemd gives an id of its own, and its result. */
async function lastRun(machine: Machine): Promise<{ id: string; result: string }> {
  const show = (property: string) =>
    machine.output(["systemctl", "show", "--value", `--property=${property}`, UNIT]);
  return { id: (await show("InvocationID")).trim(), result: (await show("Result")).trim() };
}

describe.each(SYSTEMS)("$name with systemd", ({ start }) => {
  test("install: the unit makes the warm image, and renews it after an update of a library; remove: both are gone", async () => {
    const system = await start("systemd");
    const { machine } = system;
    await system.install("current");
    expect(await isEnabled(machine)).toBe("enabled\n");
    expect(await checkWarm(machine)).toBe(WARM);
    const first = await lastRun(machine);
    expect(first).toEqual({ id: expect.stringMatching(/^[0-9a-f]{32}$/), result: "success" });

    await system.updateLibrary();
    const second = await lastRun(machine);
    expect(second.result).toBe("success");
    expect(second.id).not.toBe(first.id);
    expect(await checkWarm(machine)).toBe(WARM);
    const run = ["runts", "run", "--bundle", machine.bundle("box", "echo runs"), "box"];
    expect(await machine.run(run)).toEqual({ code: 0, stdout: "runs\n", stderr: "" });

    expect(await system.remove()).toBe("");
    const state = ["systemctl", "show", "--value", "--property=LoadState", UNIT];
    expect(await machine.output(state)).toBe("not-found\n");
    expect(await machine.shell("find /etc /run /usr /var/lib/systemd -name 'runts*'")).toBe("");
  });

  test("upgrade where the unit is disabled: it stays so, and no image is made", async () => {
    const system = await start("systemd");
    const { machine } = system;
    await system.install("current");
    await machine.output(["systemctl", "disable", UNIT]);
    await machine.output(["rm", "-f", "/usr/lib/runts/runts-warm"]);
    await system.install("newer");
    expect(await isEnabled(machine)).toBe("disabled\n");
    expect(await checkWarm(machine)).toBe("cold: there is no image: /usr/lib/runts/runts-warm\n");
  });
});
