import { expect } from "vitest";
import { IMAGE } from "../harness/engines/docker.ts";
import { lines } from "../harness/engines/engine.ts";
import { NAMES, NODES, type NodeName, type Swarm, swarmTests } from "../harness/engines/swarm.ts";

/** The kernel may lack IPVS, which virtual addresses and the routing mesh need: names lead to the tasks' own addresses (dnsrr). */

const check = swarmTests();

const waiting = { timeout: 120_000, interval: 300 };

const LONG = { timeoutMs: 300_000 };

/** A web server that tells its node and its number. */
const WEB = "mkdir /web; echo $NAME | tee /web/index.html; exec httpd -f -p 80 -h /web";
const NAMED = ["--env", "NAME={{.Node.Hostname}}/{{.Task.Slot}}"];

function create(swarm: Swarm, name: string, flags: readonly string[], script: string): Promise<string> {
  const words = ["--detach", "--quiet", "--no-resolve-image", "--stop-grace-period", "1s", "--name", name];
  return swarm.manager("service", "create", ...words, ...flags, IMAGE, "sh", "-c", script);
}

/** The nodes on which tasks of a service run, one for each task. */
async function nodesOf(swarm: Swarm, service: string): Promise<string[]> {
  const format = "{{.Node}} {{.CurrentState}}";
  const flags = ["--filter", "desired-state=running", "--format", format];
  return lines(await swarm.manager("service", "ps", service, ...flags))
    .filter((line) => line.includes(" Running "))
    .map((line) => line.split(" ")[0] ?? "")
    .sort();
}

async function running(swarm: Swarm, service: string, count: number): Promise<void> {
  await expect.poll(async () => (await nodesOf(swarm, service)).length, waiting).toBe(count);
}

/** The running containers of a service on one node. */
async function containersOn(swarm: Swarm, name: NodeName, service: string): Promise<string[]> {
  const label = `label=com.docker.swarm.service.name=${service}`;
  return lines(await swarm.ok(name, "ps", "--quiet", "--filter", label));
}

/** The addresses of a service's tasks in an overlay network. */
async function addresses(swarm: Swarm, service: string, network: string): Promise<string[]> {
  const format = `{{(index .NetworkSettings.Networks "${network}").IPAddress}}`;
  const ofNode = async (name: NodeName): Promise<string[]> =>
    lines(await swarm.ok(name, "inspect", "--format", format, ...(await containersOn(swarm, name, service))));
  return (await Promise.all(NAMES.map(ofNode))).flat();
}

async function firstContainer(swarm: Swarm, name: NodeName, service: string): Promise<string> {
  const [id] = await containersOn(swarm, name, service);
  if (id === undefined) throw new Error(`${name} has no task of ${service}`);
  return id;
}

async function removeService(swarm: Swarm, ...names: readonly string[]): Promise<void> {
  await swarm.manager("service", "rm", ...names);
}

check("node ls: three nodes are ready", async (swarm) => {
  const nodes = lines(await swarm.manager("node", "ls", "--format", "{{.Hostname}} {{.Status}}"));
  expect(nodes.sort()).toEqual(NAMES.map((name) => `${name} Ready`));
});

check(
  "service create with 12 tasks in an overlay network: run on all nodes, and reach each other across them",
  async (swarm) => {
    await swarm.manager("network", "create", "--driver", "overlay", "--attachable", "inner");
    const flags = ["--replicas", "12", "--endpoint-mode", "dnsrr", "--network", "inner", ...NAMED];
    await create(swarm, "web", flags, WEB);
    await running(swarm, "web", 12);
    expect(await nodesOf(swarm, "web")).toEqual(NAMES.flatMap((name) => Array(4).fill(name)));
    const urls = (await addresses(swarm, "web", "inner")).map((address) => `http://${address}/`).join(" ");
    const script = `for url in ${urls}; do wget -T 20 -qO- $url; done`;
    for (const name of NAMES) {
      const answers = await swarm.ok(
        name,
        "exec",
        await firstContainer(swarm, name, "web"),
        "sh",
        "-c",
        script,
      );
      expect(new Set(lines(answers)).size).toBe(12);
    }
    // The names lead to all of them, also for a container that is no task.
    const lookUp = ["run", "--rm", "--network", "inner", IMAGE, "nslookup", "tasks.web"];
    const { stdout } = await swarm.on("node2", lookUp);
    expect(stdout.match(/^Address.*: *10\.0\./gm)).toHaveLength(12);
    const logged = lines(await swarm.manager("service", "logs", "--raw", "web"));
    expect(logged.map((line) => line.split("/")[0]).sort()).toEqual(await nodesOf(swarm, "web"));
    await removeService(swarm, "web");
    await expect
      .poll(() => swarm.on("node1", ["network", "rm", "inner"]), waiting)
      .toMatchObject({ code: 0 });
  },
  LONG,
);

check(
  "service create --secret, --config: files with the contents and the mode that they were given",
  async (swarm) => {
    await swarm.on("node1", ["secret", "create", "word", "-"], { input: "sesame" });
    await swarm.on("node1", ["config", "create", "settings", "-"], { input: "colour = blue" });
    const flags = [
      ...["--secret", "source=word,target=password,mode=0400", "--config", "source=settings,target=/etc/app"],
      ...["--replicas", "3", "--placement-pref", "spread=node.id"],
    ];
    const script = "cat /run/secrets/password /etc/app; stat -c ' %a' /run/secrets/password; sleep 1000";
    await create(swarm, "reader", flags, script);
    await running(swarm, "reader", 3);
    const logs = (): Promise<string> => swarm.manager("service", "logs", "--raw", "reader");
    await expect.poll(logs, waiting).toBe("sesamecolour = blue 400\n".repeat(3));
    const id = await firstContainer(swarm, "node3", "reader");
    expect(
      await swarm.ok("node3", "exec", id, "grep", "-c", " /run/secrets/password tmpfs ro,", "/proc/mounts"),
    ).toBe("1\n");
    await removeService(swarm, "reader");
    await expect.poll(() => swarm.on("node1", ["secret", "rm", "word"]), waiting).toMatchObject({ code: 0 });
    await expect
      .poll(() => swarm.on("node1", ["config", "rm", "settings"]), waiting)
      .toMatchObject({ code: 0 });
  },
);

check(
  "service create --mode global with a published port of the host: one task on each node, reached from another",
  async (swarm) => {
    const flags = ["--mode", "global", "--publish", "mode=host,published=8080,target=80"];
    await create(swarm, "each", [...flags, "--env", "NAME={{.Node.Hostname}}"], WEB);
    await expect.poll(() => nodesOf(swarm, "each"), waiting).toEqual([...NAMES]);
    for (const [index, name] of NAMES.entries()) {
      const other = NAMES[(index + 1) % NAMES.length] ?? name;
      const ask = ["busybox", "wget", "-T", "10", "-qO-", `http://${NODES[name]}:8080/`];
      await expect.poll(async () => (await swarm.beside(other, ...ask)).stdout, waiting).toBe(`${name}\n`);
    }
    await removeService(swarm, "each");
  },
);

check("service create --mode replicated-job: each task runs once to its end", async (swarm) => {
  const flags = ["--mode", "replicated-job", "--replicas", "6", "--max-concurrent", "3", ...NAMED];
  await create(swarm, "job", flags, "echo done");
  const replicas = (): Promise<string> => swarm.manager("service", "ls", "--format", "{{.Replicas}}");
  await expect.poll(replicas, waiting).toBe("0/3 (6/6 completed)\n");
  expect(lines(await swarm.manager("service", "logs", "--raw", "job"))).toEqual(Array(6).fill("done"));
  await removeService(swarm, "job");
});

check(
  "service scale, update, rollback: tasks are added, replaced by those with the new settings, and back again",
  async (swarm) => {
    const speed = ["update", "rollback"].flatMap((way) => [
      ...[`--${way}-parallelism`, "3", `--${way}-monitor`, "500ms"],
    ]);
    await create(swarm, "web", ["--replicas", "3", "--env", "LOOK=old", ...speed, ...NAMED], WEB);
    await running(swarm, "web", 3);
    await swarm.manager("service", "scale", "--detach", "web=6");
    await running(swarm, "web", 6);
    const looks = async (): Promise<string[]> => {
      const ofNode = async (name: NodeName): Promise<string[]> => {
        const ids = await containersOn(swarm, name, "web");
        return Promise.all(
          ids.map(async (id) => (await swarm.on(name, ["exec", id, "sh", "-c", "echo $LOOK"])).stdout.trim()),
        );
      };
      return (await Promise.all(NAMES.map(ofNode))).flat();
    };
    const state = (): Promise<string> =>
      swarm.manager("service", "inspect", "--format", "{{.UpdateStatus.State}}", "web");
    await swarm.manager("service", "update", "--detach", "--quiet", "--env-add", "LOOK=new", "web");
    await expect.poll(state, waiting).toBe("completed\n");
    await expect.poll(looks, waiting).toEqual(Array(6).fill("new"));
    await swarm.manager("service", "rollback", "--detach", "--quiet", "web");
    await expect.poll(state, waiting).toBe("rollback_completed\n");
    await expect.poll(looks, waiting).toEqual(Array(6).fill("old"));
    await removeService(swarm, "web");
  },
  LONG,
);

check("a task that is killed, and one that is unhealthy: replaced", async (swarm) => {
  const health = ["--health-cmd", "test ! -e /sick", "--health-interval", "500ms", "--health-retries", "2"];
  await create(swarm, "fragile", ["--replicas", "3", "--restart-delay", "100ms", ...health], WEB);
  await running(swarm, "fragile", 3);
  const [killed, sick] = [
    await firstContainer(swarm, "node1", "fragile"),
    await firstContainer(swarm, "node2", "fragile"),
  ];
  await swarm.ok("node1", "kill", killed);
  await swarm.ok("node2", "exec", sick, "touch", "/sick");
  const first = (name: NodeName): Promise<string | undefined> =>
    containersOn(swarm, name, "fragile").then(([id]) => id);
  await expect.poll(() => first("node2"), waiting).not.toBe(sick);
  await running(swarm, "fragile", 3);
  const errors = await swarm.manager("service", "ps", "--no-trunc", "--format", "{{.Error}}", "fragile");
  expect(errors).toContain("task: non-zero exit (137)");
  expect(errors).toContain("unhealthy container");
  await removeService(swarm, "fragile");
});

check(
  "node update --availability drain, active: its tasks run elsewhere; then it takes new ones",
  async (swarm) => {
    await create(swarm, "web", ["--replicas", "6", ...NAMED], WEB);
    await running(swarm, "web", 6);
    expect(await nodesOf(swarm, "web")).toContain("node2");
    await swarm.manager("node", "update", "--availability", "drain", "node2");
    await expect.poll(() => containersOn(swarm, "node2", "web"), waiting).toEqual([]);
    await running(swarm, "web", 6);
    expect(await nodesOf(swarm, "web")).not.toContain("node2");
    await swarm.manager("node", "update", "--availability", "active", "node2");
    await swarm.manager("service", "scale", "--detach", "web=9");
    await running(swarm, "web", 9);
    expect(await nodesOf(swarm, "web")).toContain("node2");
    await removeService(swarm, "web");
  },
);

const STACK = `services:
  web:
    image: ${IMAGE}
    command: ["sh", "-c", "mkdir /web; cp /motd /web/index.html; exec httpd -f -p 80 -h /web"]
    configs: [{ source: motd, target: /motd }]
    networks: [front]
    stop_grace_period: 1s
    deploy: { replicas: 3, endpoint_mode: dnsrr }
  reader:
    image: ${IMAGE}
    command: ["sh", "-c", "until wget -T 5 -qO- http://web/; do sleep 0.2; done; sleep 1000"]
    networks: [front]
    stop_grace_period: 1s
    deploy: { mode: global, endpoint_mode: dnsrr }
configs:
  motd: { file: ./motd }
networks:
  front: { driver: overlay }
`;

check(
  "stack deploy, stack rm: services of a compose file with their network and config, and all of it is removed",
  async (swarm) => {
    const folder = swarm.folderWith({ "stack.yaml": STACK, motd: "good day\n" });
    const deploy = [
      "stack",
      "deploy",
      "--detach",
      "--resolve-image",
      "never",
      "--compose-file",
      "stack.yaml",
    ];
    const deployed = await swarm.on("node1", [...deploy, "shop"], { cwd: folder });
    expect(deployed.code, deployed.stderr).toBe(0);
    const services = async (): Promise<string[]> =>
      lines(await swarm.manager("stack", "services", "--format", "{{.Name}} {{.Replicas}}", "shop")).sort();
    await expect.poll(services, waiting).toEqual(["shop_reader 3/3", "shop_web 3/3"]);
    const logs = (): Promise<string> => swarm.manager("service", "logs", "--raw", "shop_reader");
    await expect
      .poll(async () => lines(await logs()).filter((line) => line === "good day"), waiting)
      .toHaveLength(3);
    await swarm.manager("stack", "rm", "shop");
  },
  LONG,
);

check(
  "a node killed: its tasks run elsewhere; started again, it takes new ones",
  async (swarm) => {
    await create(swarm, "web", ["--replicas", "12", ...NAMED], WEB);
    await running(swarm, "web", 12);
    await swarm.killNode("node3");
    const onOthers = async (): Promise<number> =>
      (await nodesOf(swarm, "web")).filter((name) => name !== "node3").length;
    await expect.poll(onOthers, waiting).toBe(12);
    await swarm.startNode("node3");
    const status = (): Promise<string> =>
      swarm.manager("node", "ls", "--filter", "name=node3", "--format", "{{.Status}}");
    await expect.poll(status, waiting).toBe("Ready\n");
    await swarm.manager("service", "scale", "--detach", "web=18");
    await running(swarm, "web", 18);
    expect(await nodesOf(swarm, "web")).toContain("node3");
    await removeService(swarm, "web");
  },
  LONG,
);
