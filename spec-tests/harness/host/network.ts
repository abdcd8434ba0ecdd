import { execFileSync, spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import type { TestContext } from "vitest";
import { type Config, setNamespace } from "../config.ts";
import type { Sandbox } from "../sandbox.ts";

/** A network namespace of its own, which the test may fill with interfaces. */
export class Net {
  readonly path: string;
  /** Runs the runtime in it. */
  readonly wrapper: readonly string[];

  constructor(path: string) {
    this.path = path;
    this.wrapper = ["nsenter", `--net=${path}`];
  }

  run(...command: readonly string[]): string {
    return execFileSync("nsenter", [`--net=${this.path}`, ...command], { encoding: "utf8" });
  }

  /** One half of a pair, so that it needs no hardware; the other half stays down. */
  add(name: string): void {
    this.run("ip", "link", "add", name, "type", "veth", "peer", "name", `${name}-peer`);
  }

  names(): string[] {
    const lines = this.run("ip", "-o", "link").trim().split("\n");
    return lines.map((line) => line.split(": ")[1]?.split("@")[0] ?? "").filter((name) => name !== "lo");
  }

  show(name: string): string {
    return this.run("ip", "-o", "address", "show", "dev", name);
  }
}

export function network(sandbox: Sandbox, name: string): Net {
  const path = sandbox.path(name);
  writeFileSync(path, "");
  execFileSync("unshare", [`--net=${path}`, "true"]);
  sandbox.atEnd(() => void execFileSync("umount", [path]));
  sandbox.settle();
  return new Net(path);
}

/** The "host" that interfaces come from, with one that has addresses of both families and is up. */
export function host(sandbox: Sandbox, context: TestContext): Net {
  const net = network(sandbox, "host");
  const pair = ["ip", "link", "add", "va", "type", "veth", "peer", "name", "vb"];
  if (spawnSync("nsenter", [`--net=${net.path}`, ...pair]).status !== 0)
    context.skip("this kernel has no veth interfaces, or iproute2 is missing");
  net.run("ip", "link", "set", "va", "mtu", "1400", "address", "02:00:00:00:00:77");
  net.run(
    "ip",
    "address",
    "add",
    "192.0.2.7/24",
    "broadcast",
    "192.0.2.255",
    "dev",
    "va",
    "label",
    "va:main",
  );
  net.run("ip", "address", "add", "192.0.2.8/24", "dev", "va");
  net.run("ip", "-6", "address", "add", "2001:db8::7/64", "nodad", "dev", "va");
  net.run("ip", "link", "set", "va", "up");
  return net;
}

export function moving(
  netDevices: Record<string, { name?: string }>,
  joined?: Net,
): (config: Config) => void {
  return (config) => {
    config.linux.netDevices = netDevices;
    if (joined !== undefined) setNamespace(config, "network", { type: "network", path: joined.path });
  };
}
