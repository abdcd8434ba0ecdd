import { expect } from "vitest";
import { type Docker, dockerTests, IMAGE } from "../harness/engines/docker.ts";
import { lines } from "../harness/engines/engine.ts";

const check = dockerTests();

const waiting = { timeout: 20_000, interval: 200 };

/** Starts a web server in the background that answers with its host name. */
async function serve(docker: Docker, name: string, ...flags: string[]): Promise<void> {
  const script = "mkdir /web; hostname > /web/index.html; exec httpd -f -p 80 -h /web";
  const started = await docker.call(
    "run",
    "--detach",
    "--name",
    name,
    "--hostname",
    name,
    ...flags,
    IMAGE,
    "sh",
    "-c",
    script,
  );
  expect(started).toMatchObject({ code: 0, stderr: "" });
  const answer = async () => (await docker.call("exec", name, "wget", "-qO-", "http://127.0.0.1/")).stdout;
  await expect.poll(answer, waiting).toBe(`${name}\n`);
}

function fetchFrom(docker: Docker, url: string, ...flags: string[]) {
  return docker.call("run", "--rm", ...flags, IMAGE, "wget", "-T", "5", "-qO-", url);
}

check(
  "run with the default bridge: has an address and a route, and reaches the other container",
  async (docker) => {
    await serve(docker, "web");
    const address = (
      await docker.call("inspect", "--format", "{{.NetworkSettings.IPAddress}}", "web")
    ).stdout.trim();
    const { stdout } = await docker.call("exec", "web", "ip", "-o", "-4", "addr");
    expect(stdout).toMatch(new RegExp(`eth0 .*inet ${address}/16`));
    expect((await fetchFrom(docker, `http://${address}/`)).stdout).toBe("web\n");
    expect((await docker.call("exec", "web", "ip", "route")).stdout).toMatch(
      /^default via \d+\.\d+\.\d+\.1 dev eth0/,
    );
    await docker.call("rm", "--force", "web");
  },
);

check("run --publish: reached from the host until the container is removed", async (docker) => {
  await serve(docker, "web", "--publish", "127.0.0.1:8080:80");
  const outside = () => docker.beside("busybox", "wget", "-T", "5", "-qO-", "http://127.0.0.1:8080/");
  expect((await outside()).stdout).toBe("web\n");
  await docker.call("rm", "--force", "web");
  expect((await outside()).code).not.toBe(0);
});

check("run --network none: only a loopback interface", async (docker) => {
  const { stdout } = await docker.call("run", "--rm", "--network", "none", IMAGE, "ip", "-o", "link");
  expect(lines(stdout)).toHaveLength(1);
  expect(stdout).toMatch(/ lo: <LOOPBACK,UP,LOWER_UP>/);
});

check("run --network host: shares the daemon's network namespace", async (docker) => {
  const { stdout } = await docker.call(
    "run",
    "--rm",
    "--network",
    "host",
    IMAGE,
    "readlink",
    "/proc/self/ns/net",
  );
  expect(stdout).toBe((await docker.beside("readlink", "/proc/self/ns/net")).stdout);
});

check("run --network container: shares the other's network namespace and host name", async (docker) => {
  await serve(docker, "web");
  const script = "wget -qO- http://127.0.0.1/; hostname; readlink /proc/self/ns/net";
  const { stdout } = await docker.call(
    "run",
    "--rm",
    "--network",
    "container:web",
    IMAGE,
    "sh",
    "-c",
    script,
  );
  const own = (await docker.call("exec", "web", "readlink", "/proc/self/ns/net")).stdout;
  expect(stdout).toBe(`web\nweb\n${own}`);
  await docker.call("rm", "--force", "web");
});

check("network create, connect, disconnect: names resolve only in a shared network", async (docker) => {
  await docker.call("network", "create", "--subnet", "10.77.0.0/24", "inner");
  await serve(docker, "web", "--network", "inner", "--network-alias", "shop", "--ip", "10.77.0.9");
  for (const name of ["web", "shop", "10.77.0.9"])
    expect((await fetchFrom(docker, `http://${name}/`, "--network", "inner")).stdout).toBe("web\n");
  expect((await fetchFrom(docker, "http://web/")).code).not.toBe(0);
  const devices = async () => (await docker.call("exec", "web", "ip", "-o", "-4", "addr")).stdout;
  expect(await devices()).not.toContain("eth1");
  expect((await docker.call("network", "connect", "bridge", "web")).code).toBe(0);
  expect(await devices()).toContain("eth1");
  expect((await docker.call("network", "disconnect", "bridge", "web")).code).toBe(0);
  expect(await devices()).not.toContain("eth1");
  await docker.call("rm", "--force", "web");
  expect((await docker.call("network", "rm", "inner")).code).toBe(0);
});

check(
  "network create --internal and --ipv6: no default route, an IPv4 and an IPv6 address",
  async (docker) => {
    await docker.call("network", "create", "--internal", "--ipv6", "--subnet", "fd00:77::/64", "inner");
    const { stdout } = await docker.call(
      "run",
      "--rm",
      "--network",
      "inner",
      IMAGE,
      "sh",
      "-c",
      "ip route; ip -o addr show dev eth0",
    );
    expect(stdout).not.toMatch(/^default/m);
    expect(stdout).toMatch(/inet \d+\./);
    expect(stdout).toMatch(/inet6 fd00:77::/);
    await docker.call("network", "rm", "inner");
  },
);

check("run --dns, --add-host, --mac-address, --link: applied", async (docker) => {
  await serve(docker, "web");
  const flags = [
    "--dns",
    "10.1.2.3",
    "--add-host",
    "far:10.9.8.7",
    "--mac-address",
    "02:42:ac:11:00:77",
    "--link",
    "web:near",
  ];
  const script =
    "grep ^nameserver /etc/resolv.conf; grep far /etc/hosts; cat /sys/class/net/eth0/address; wget -qO- http://near/";
  const { stdout } = await docker.call("run", "--rm", ...flags, IMAGE, "sh", "-c", script);
  expect(stdout).toBe("nameserver 10.1.2.3\n10.9.8.7\tfar\n02:42:ac:11:00:77\nweb\n");
  await docker.call("rm", "--force", "web");
});
