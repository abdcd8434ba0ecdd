import { setTimeout } from "node:timers/promises";
import { expect } from "vitest";
import { dockerTests, IMAGE } from "../harness/engines/docker.ts";
import { lines } from "../harness/engines/engine.ts";
import { which } from "../harness/runtime.ts";

const check = dockerTests({ settings: { experimental: true } });

check(
  "checkpoint create, start --checkpoint: the program continues where it was",
  async (docker, context) => {
    if (which("criu") === undefined) return context.skip("criu is not installed: apt-get install criu");
    const script = "i=0; while :; do i=$((i+1)); echo $i; sleep 0.2; done";
    // criu can't restore docker's seccomp filter by itself, nor the network interface on a bridge. docker 28 restores no network namespace:
    // it wants to keep that of a program which is not there yet (containerd's issue 12141).
    const network = docker.major < 28 ? "none" : "host";
    const flags = ["--detach", "--name", "it", "--network", network, "--security-opt", "seccomp=unconfined"];
    expect((await docker.call("run", ...flags, IMAGE, "sh", "-c", script)).code).toBe(0);
    const logs = async () => lines((await docker.call("logs", "it")).stdout).map(Number);
    await expect.poll(async () => (await logs()).length).toBeGreaterThan(3);
    const patient = { timeoutMs: 200_000 };
    const made = await docker.client(["checkpoint", "create", "it", "first"], patient);
    expect(made, made.stderr).toMatchObject({ code: 0, stdout: "first\n" });
    const state = async () => (await docker.call("inspect", "--format", "{{.State.Status}}", "it")).stdout;
    await expect.poll(state).toBe("exited\n");
    const before = (await logs()).length;
    const start = () => docker.client(["start", "--checkpoint", "first", "it"], patient);
    let started = await start();
    // dockerd stores the checkpoint again, which fails until containerd has garbage-collected the first copy.
    for (let tries = 0; tries < 100 && started.stderr.includes("already exists"); tries++) {
      await setTimeout(500);
      started = await start();
    }
    expect(started.code, started.stderr).toBe(0);
    await expect.poll(async () => (await logs()).length).toBeGreaterThan(before + 3);
    // No number is missing, and none is repeated.
    const all = await logs();
    expect(all).toEqual(all.map((_, index) => index + 1));
    await docker.call("rm", "--force", "it");
  },
  { timeoutMs: 400_000 },
);
