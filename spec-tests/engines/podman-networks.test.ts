import { expect } from "vitest";
import { IMAGE, type Podman, run } from "../harness/engines/podman.ts";
import { AUTO_IDS, podmanHostTests } from "../harness/engines/podman-host.ts";

const everyday = podmanHostTests();

const SERVE = ["sh", "-c", "while :; do echo from the server | nc -l -p 8080; done"];

async function withServer(engine: Podman, flags: string[], body: () => Promise<void>): Promise<void> {
  const started = await engine.call("run", "--detach", "--name", "server", ...flags, IMAGE, ...SERVE);
  expect(started).toMatchObject({ code: 0, stderr: "" });
  try {
    await body();
  } finally {
    await engine.call("rm", "--force", "--time", "0", "server");
  }
}

/** The answer of an address to a client with these flags. */
async function ask(engine: Podman, flags: string[], host: string, port: string): Promise<void> {
  const answer = async (): Promise<string> =>
    (await run(engine, ...flags, IMAGE, "nc", "-w", "2", host, port)).stdout;
  await expect.poll(answer, { timeout: 20_000, interval: 300 }).toBe("from the server\n");
}

const INTERFACES = ["sh", "-c", "ls /sys/class/net | tr '\\n' ' '"];

everyday("run --network none: only a loopback interface", async (engine) => {
  expect((await run(engine, "--network", "none", IMAGE, ...INTERFACES)).stdout).toBe("lo ");
});

everyday("run --network host: shares podman's own network namespace", async (engine) => {
  const show = ["readlink", "/proc/self/ns/net"];
  const first = (await run(engine, "--network", "host", IMAGE, ...show)).stdout;
  expect((await run(engine, "--network", "host", IMAGE, ...show)).stdout).toBe(first);
  expect((await run(engine, "--network", "none", IMAGE, ...show)).stdout).not.toBe(first);
});

everyday("run --network bridge: has an address, and reaches the other container", async (engine) => {
  await withServer(engine, ["--network", "bridge"], async () => {
    const format = "{{.NetworkSettings.IPAddress}}";
    const address = (await engine.call("inspect", "--format", format, "server")).stdout.trim();
    expect(address).toMatch(/^10\.88\.\d+\.\d+$/);
    expect((await run(engine, "--network", "bridge", IMAGE, ...INTERFACES)).stdout).toBe("eth0 lo ");
    await ask(engine, ["--network", "bridge"], address, "8080");
  });
});

everyday("run --publish: reached from the host", async (engine) => {
  await withServer(engine, ["--network", "bridge", "--publish", "127.0.0.1:18081:8080"], async () => {
    expect((await engine.call("port", "server")).stdout).toBe("8080/tcp -> 127.0.0.1:18081\n");
    await ask(engine, ["--network", "host"], "127.0.0.1", "18081");
  });
});

everyday("run --network container:ID: shares the other's network namespace", async (engine) => {
  await withServer(engine, ["--network", "none"], async () => {
    await ask(engine, ["--network", "container:server"], "127.0.0.1", "8080");
  });
});

everyday("run on a named network: reaches the other container by name", async (engine) => {
  expect(await engine.call("network", "create", "--subnet", "10.89.7.0/24", "named")).toMatchObject({
    code: 0,
  });
  await withServer(engine, ["--network", "named", "--ip", "10.89.7.9"], async () => {
    await ask(engine, ["--network", "named"], "server", "8080");
    await ask(engine, ["--network", "named"], "10.89.7.9", "8080");
  });
  expect(await engine.call("network", "rm", "named")).toMatchObject({ code: 0 });
});

everyday("network connect, disconnect: a running container gains and loses an interface", async (engine) => {
  await engine.call("network", "create", "later");
  await withServer(engine, ["--network", "bridge"], async () => {
    const seen = async (): Promise<string> => (await engine.call("exec", "server", ...INTERFACES)).stdout;
    expect(await engine.call("network", "connect", "later", "server")).toMatchObject({ code: 0 });
    expect(await seen()).toBe("eth0 eth1 lo ");
    expect(await engine.call("network", "disconnect", "later", "server")).toMatchObject({ code: 0 });
    expect(await seen()).toBe("eth0 lo ");
  });
  await engine.call("network", "rm", "later");
});

everyday("run --dns, --add-host, --hostname: written to files in /etc", async (engine) => {
  const flags = [
    "--network",
    "bridge",
    "--dns",
    "10.1.2.3",
    "--add-host",
    "other:10.9.8.7",
    "--hostname",
    "me",
  ];
  const { stdout } = await run(
    engine,
    ...flags,
    IMAGE,
    "sh",
    "-c",
    "cat /etc/resolv.conf /etc/hosts; hostname",
  );
  expect(stdout).toMatch(/^nameserver 10\.1\.2\.3$/m);
  expect(stdout).toMatch(/^10\.9\.8\.7\s+other$/m);
  expect(stdout).toMatch(/^\d\S+\s+me .*$/m);
  expect(stdout).toMatch(/\nme\n$/);
});

everyday("run --userns=auto: ids of no other container", async (engine) => {
  const flags = ["--detach", "--userns", "auto:size=1000", IMAGE, "sleep", "1000"];
  const map = async (name: string): Promise<number> => {
    expect(await engine.call("run", "--name", name, ...flags)).toMatchObject({ code: 0, stderr: "" });
    const { stdout } = await engine.call("exec", name, "cat", "/proc/self/uid_map");
    const [inside, outside, size] = stdout.trim().split(/\s+/).map(Number);
    expect({ inside, size }).toEqual({ inside: 0, size: 1000 });
    return outside ?? 0;
  };
  const [one, two] = [await map("one"), await map("two")];
  expect(Math.min(one, two)).toBeGreaterThanOrEqual(AUTO_IDS);
  expect(Math.abs(one - two)).toBeGreaterThanOrEqual(1000);
  await engine.call("rm", "--force", "--time", "0", "one", "two");
});

everyday("run --userns container:ID: shares the other's user namespace", async (engine) => {
  const map = ["--uidmap", "0:100000:65536", "--gidmap", "0:100000:65536"];
  await withServer(engine, ["--network", "none", ...map], async () => {
    const show = ["readlink", "/proc/self/ns/user"];
    const other = (await engine.call("exec", "server", ...show)).stdout;
    const { stdout, stderr } = await run(engine, "--userns", "container:server", IMAGE, ...show);
    expect({ stdout, stderr }).toEqual({ stdout: other, stderr: "" });
  });
});
