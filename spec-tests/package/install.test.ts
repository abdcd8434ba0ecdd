import { describe, expect, test } from "vitest";
import { IMAGE } from "../harness/package/machine.ts";
import { SYSTEMS } from "../harness/package/systems.ts";

/** What `doctor` may miss on a fresh machine of the tests: it is the host's, or comes later. */
const NOT_OF_THE_PACKAGE = /^(\w+ controller|systemd|warm start)$/;

describe.each(SYSTEMS)("$name", ({ start }) => {
  test("install on a minimal system: brings what runts needs; runts runs a container, cold and warm", async () => {
    const system = await start("bare");
    const { machine } = system;
    expect(await system.install("current")).toBe("");
    expect(await system.changedFiles()).toBe("");
    expect(await machine.output(["runts", "--version"])).toMatch(/^runts version 1\.0\.0\S*\n/);

    const doctor = await machine.run(["runts", "doctor"]);
    expect([doctor.code, doctor.stderr]).toEqual([0, ""]);
    const missing = doctor.stdout
      .split("\n")
      .flatMap((line) => /^ {2}missing +(.*?) {2}/.exec(line)?.[1] ?? []);
    const unexpected = missing.filter((what) => !NOT_OF_THE_PACKAGE.test(what));
    expect(unexpected).toEqual(system.installsRecommended ? [] : ["criu"]);
    expect(doctor.stdout).toMatch(/^ {2}ok +libseccomp +API level/m);

    const bundle = machine.bundle("box", "echo runs as $(id -u) in $(hostname)");
    const run = ["runts", "run", "--bundle", bundle, "box"];
    expect(await machine.run(run)).toEqual({ code: 0, stdout: "runs as 0 in box\n", stderr: "" });
    await machine.output(["runts", "warm"]);
    expect(await machine.output(["runts", "warm", "--check"])).toBe("warm: /usr/lib/runts/runts-warm\n");
    expect(await machine.run(run)).toEqual({ code: 0, stdout: "runs as 0 in box\n", stderr: "" });
  });

  test("podman and buildah: know runts by its name, and get its errors; their default stays", async () => {
    const system = await start("engines");
    const { machine } = system;
    const defaultRuntime = ["podman", "info", "--format", "{{.Host.OCIRuntime.Name}}"];
    const before = await machine.output(defaultRuntime);
    await system.install("current");
    await machine.importImage();

    const podman = (...words: string[]) => machine.run(["podman", "--runtime", "runts", ...words]);
    const run = ["run", "--name", "box", IMAGE, "echo", "from podman"];
    expect(await podman(...run)).toEqual({ code: 0, stdout: "from podman\n", stderr: "" });
    const runtime = await machine.output(["podman", "inspect", "--format", "{{.OCIRuntime}}", "box"]);
    expect(runtime).toBe("runts\n");
    expect(await podman("rm", "box")).toMatchObject({ code: 0, stderr: "" });

    const missing = await podman("run", "--rm", IMAGE, "no-such-command");
    expect(missing.code).toBe(127);
    expect(missing.stderr).toMatch(/^Error: runts: \/process\/args\/0: exec: "no-such-command": /);

    const build = `container=$(buildah from ${IMAGE}); buildah run --runtime runts "$container" echo from buildah`;
    expect(await machine.shell(build)).toBe("from buildah\n");
    expect(await machine.output(defaultRuntime)).toBe(before);
    expect(before).toMatch(/^(crun|runc)\n$/);
  });
});
