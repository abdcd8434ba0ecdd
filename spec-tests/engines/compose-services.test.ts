import { expect } from "vitest";
import { withProject } from "../harness/engines/compose.ts";
import { dockerTests } from "../harness/engines/docker.ts";
import { lines } from "../harness/engines/engine.ts";

const check = dockerTests({}, "compose");

const waiting = { timeout: 30_000, interval: 300 };

/** A web server that answers with its host name, and is healthy once it answers. */
const WEB = `
    image: $IMAGE
    command: sh -c 'mkdir -p /web; hostname > /web/index.html; exec httpd -f -p 80 -h /web'
    stop_grace_period: 0s
    healthcheck: { test: wget -qO- http://127.0.0.1/, interval: 500ms, retries: 20 }`;

check("up, ps, down: services find each other by name", async (docker) => {
  const yaml = `services:
  web:${WEB}
    hostname: shop
  client:
    image: $IMAGE
    command: sh -c 'until wget -qO- http://web/; do sleep 0.2; done'`;
  await withProject(docker, yaml, async (compose) => {
    await compose.ok("up", "--detach");
    await expect.poll(() => compose.ok("logs", "--no-log-prefix", "client"), waiting).toContain("shop\n");
    await expect
      .poll(() => compose.ok("ps", "--all", "--format", "{{.Service}} {{.State}}"), waiting)
      .toBe("client exited\nweb running\n");
    expect(
      (await docker.call("inspect", "--format", "{{.HostConfig.Runtime}}", `${compose.project}-web-1`))
        .stdout,
    ).toBe("tested\n");
  });
});

check(
  "up with depends_on, service_healthy and service_completed_successfully: a service waits for both",
  async (docker) => {
    const yaml = `services:
  last:
    image: $IMAGE
    command: sh -c 'cat /data/made && wget -qO- http://web/'
    volumes: [data:/data]
    depends_on:
      web: { condition: service_healthy }
      first: { condition: service_completed_successfully }
  web:${WEB}
    hostname: shop
  first:
    image: $IMAGE
    command: sh -c 'sleep 1; echo made > /data/made'
    volumes: [data:/data]
volumes: { data: {} }`;
    await withProject(docker, yaml, async (compose) => {
      await compose.ok("up", "--detach");
      await expect.poll(() => compose.ok("logs", "--no-log-prefix", "last"), waiting).toBe("made\nshop\n");
    });
  },
);

check(
  "up with depends_on, a service that fails: error, dependent not started; up --wait, an unhealthy service: error",
  async (docker) => {
    const yaml = `services:
  last:
    image: $IMAGE
    command: echo started
    depends_on: { first: { condition: service_completed_successfully } }
  first:
    image: $IMAGE
    command: sh -c 'exit 3'
  ill:
    image: $IMAGE
    command: sleep 1000
    stop_grace_period: 0s
    healthcheck: { test: exit 1, interval: 200ms, retries: 2 }`;
    await withProject(docker, yaml, async (compose) => {
      const { code, stderr } = await compose("up", "--detach", "last");
      expect(code).toBe(1);
      expect(stderr).toMatch(/didn't complete successfully: exit 3/);
      expect(await compose.ok("logs", "--no-log-prefix", "last")).toBe("");
      const ill = await compose("up", "--detach", "--wait", "ill");
      expect(ill.code).toBe(1);
      expect(ill.stderr).toMatch(/unhealthy/);
    });
  },
);

check(
  "up --wait, exec, run: exec enters the running service, run starts a new container of it",
  async (docker) => {
    const yaml = `services:
  web:${WEB}
    environment: { WORD: "of the file" }`;
    await withProject(docker, yaml, async (compose) => {
      await compose.ok("up", "--detach", "--wait");
      expect(await compose.ok("exec", "-T", "web", "sh", "-c", 'echo "$WORD"; cat /proc/1/comm')).toBe(
        "of the file\nhttpd\n",
      );
      const failed = await compose(
        "exec",
        "-T",
        "--user",
        "alice",
        "--env",
        "WORD=x",
        "web",
        "sh",
        "-c",
        "echo $WORD; id -u; exit 7",
      );
      expect(failed).toMatchObject({ code: 7, stdout: "x\n1000\n" });
      expect(await compose("run", "--rm", "-T", "web", "sh", "-c", "cat /proc/1/comm; exit 4")).toMatchObject(
        {
          code: 4,
          stdout: "sh\n",
        },
      );
      const onTerminal = await docker.onTerminal(
        "compose",
        "--project-name",
        compose.project,
        "exec",
        "web",
        "sh",
        "-c",
        "tty",
      );
      expect(onTerminal.stdout.trim()).toBe("/dev/pts/0");
    });
  },
);

check("volumes: kept by down, removed by down --volumes", async (docker) => {
  const yaml = `services:
  keeper:
    image: $IMAGE
    command: sh -c 'cat /data/file 2>/dev/null || echo nothing; echo kept > /data/file; sleep 1000'
    stop_grace_period: 0s
    volumes: [data:/data, ./folder:/folder:ro]
volumes: { data: {} }`;
  const files = { "folder/file": "beside\n" };
  const body = async (compose: Parameters<Parameters<typeof withProject>[2]>[0]) => {
    const logs = () => compose.ok("logs", "--no-log-prefix", "keeper");
    await compose.ok("up", "--detach");
    await expect.poll(logs, waiting).toBe("nothing\n");
    expect(
      (await compose("exec", "-T", "keeper", "sh", "-c", "cat /folder/file; touch /folder/x")).stdout,
    ).toBe("beside\n");
    await compose.ok("down");
    await compose.ok("up", "--detach");
    await expect.poll(logs, waiting).toBe("kept\n");
    await compose.ok("down", "--volumes");
    await compose.ok("up", "--detach");
    await expect.poll(logs, waiting).toBe("nothing\n");
  };
  await withProject(docker, yaml, body, files);
});

check(
  "networks: services reach each other only on a shared one; aliases, addresses and internal work",
  async (docker) => {
    const yaml = `services:
  web:${WEB}
    networks: { front: {}, back: { aliases: [shop], ipv4_address: 10.78.0.9 } }
  inner:${WEB}
    networks: [back]
  outer:${WEB}
    networks: [front]
networks:
  front: {}
  back: { internal: true, ipam: { config: [{ subnet: 10.78.0.0/24 }] } }`;
    await withProject(docker, yaml, async (compose) => {
      await compose.ok("up", "--detach", "--wait");
      const reaches = async (from: string, name: string) =>
        (await compose("exec", "-T", from, "wget", "-T", "3", "-qO", "/dev/null", `http://${name}/`)).code ===
        0;
      expect(await reaches("inner", "web")).toBe(true);
      expect(await reaches("inner", "shop")).toBe(true);
      expect(await reaches("inner", "10.78.0.9")).toBe(true);
      expect(await reaches("outer", "web")).toBe(true);
      expect(await reaches("outer", "inner")).toBe(false);
      expect(await reaches("outer", "shop")).toBe(false);
      expect(await compose.ok("exec", "-T", "inner", "ip", "route")).not.toContain("default");
    });
  },
);

check("up --scale, up and down: that many containers, all under one name", async (docker) => {
  const yaml = `services:
  web:${WEB}
  client:
    image: $IMAGE
    command: sleep 1000
    stop_grace_period: 0s`;
  await withProject(docker, yaml, async (compose) => {
    await compose.ok("up", "--detach", "--scale", "web=3", "--wait");
    expect(lines(await compose.ok("ps", "--quiet", "web"))).toHaveLength(3);
    const lookup = await compose.ok("exec", "-T", "client", "nslookup", "web");
    expect(lookup.match(/^Address: /gm)).toHaveLength(3);
    const seen = new Set<string>();
    await expect
      .poll(
        async () => seen.add(await compose.ok("exec", "-T", "client", "wget", "-qO-", "http://web/")).size,
        waiting,
      )
      .toBeGreaterThan(1);
    await compose.ok("up", "--detach", "--scale", "web=1");
    expect(lines(await compose.ok("ps", "--quiet", "web"))).toHaveLength(1);
  });
});

check("restart, stop, start, kill, pause, unpause: the state of the services changes", async (docker) => {
  const yaml = `services:
  one: &service
    image: $IMAGE
    command: sh -c 'echo started; exec sleep 1000'
    stop_grace_period: 0s
  two: *service`;
  await withProject(docker, yaml, async (compose) => {
    const states = async () =>
      (await compose.ok("ps", "--all", "--format", "{{.Service}} {{.State}}")).trim().split("\n").sort();
    await compose.ok("up", "--detach");
    await compose.ok("restart", "one");
    await expect.poll(() => compose.ok("logs", "--no-log-prefix", "one"), waiting).toBe("started\nstarted\n");
    expect(await compose.ok("logs", "--no-log-prefix", "two")).toBe("started\n");
    await compose.ok("pause", "two");
    expect(await states()).toEqual(["one running", "two paused"]);
    await compose.ok("unpause", "two");
    await compose.ok("stop", "one");
    await compose.ok("kill", "two");
    await expect.poll(states, waiting).toEqual(["one exited", "two exited"]);
    await compose.ok("start");
    expect(await states()).toEqual(["one running", "two running"]);
  });
});

check("restart always and on-failure: restarted after the program's end", async (docker) => {
  const yaml = `services:
  always:
    image: $IMAGE
    command: sh -c 'echo started; sleep 0.3'
    restart: always
  failing:
    image: $IMAGE
    command: sh -c 'echo started; exit 1'
    restart: on-failure:1`;
  await withProject(docker, yaml, async (compose) => {
    await compose.ok("up", "--detach");
    await expect
      .poll(async () => lines(await compose.ok("logs", "--no-log-prefix", "always")).length, waiting)
      .toBeGreaterThan(2);
    await expect
      .poll(async () => lines(await compose.ok("logs", "--no-log-prefix", "failing")).length, waiting)
      .toBe(2);
  });
});

check(
  "up --exit-code-from, in the foreground: all output, that service's exit code, the others stopped",
  async (docker) => {
    const yaml = `services:
  tests:
    image: $IMAGE
    command: sh -c 'until wget -qO- http://web/; do sleep 0.2; done; exit 5'
  web:${WEB}
    hostname: shop`;
    await withProject(docker, yaml, async (compose) => {
      const { code, stdout } = await compose("up", "--exit-code-from", "tests", "--abort-on-container-exit");
      expect(code).toBe(5);
      expect(stdout).toMatch(/^tests-1 +\| shop$/m);
      expect(await compose.ok("ps", "--quiet")).toBe("");
    });
  },
);

check("logs, top, port, cp: work on running services", async (docker) => {
  const yaml = `services:
  web:${WEB}
    ports: ["127.0.0.1:8095:80"]
  talker:
    image: $IMAGE
    command: sh -c 'for i in 1 2 3; do echo line $$i; done'`;
  await withProject(docker, yaml, async (compose) => {
    await compose.ok("up", "--detach");
    await expect
      .poll(() => compose.ok("logs", "--tail", "2", "talker"), waiting)
      .toBe("talker-1  | line 2\ntalker-1  | line 3\n");
    expect(await compose.ok("top", "web")).toMatch(/httpd -f -p 80/);
    expect(await compose.ok("port", "web", "80")).toBe("127.0.0.1:8095\n");
    await compose.ok("cp", "compose.yaml", "web:/web/index.html");
    const seen = await docker.beside("busybox", "wget", "-qO-", "http://127.0.0.1:8095/");
    expect(seen.stdout).toBe(yaml);
  });
});

check(
  "settings of a service, such as user, capabilities, tmpfs, ulimits, sysctls, configs and secrets: applied",
  async (docker) => {
    const yaml = `services:
  strict:
    image: $IMAGE
    command: sleep 1000
    stop_grace_period: 0s
    user: alice
    cap_drop: [ALL]
    read_only: true
    tmpfs: [/scratch:mode=1777]
    init: true
    security_opt: [no-new-privileges, seccomp=unconfined]
    ulimits: { nofile: { soft: 100, hard: 200 } }
    sysctls: { net.ipv4.ip_unprivileged_port_start: 81 }
    shm_size: 1m
    hostname: strict
    working_dir: /var
    env_file: [variables]
    configs: [{ source: words, target: /etc/words }]
    secrets: [word]
    group_add: ["77"]
configs: { words: { file: words } }
secrets: { word: { file: word } }`;
    const files = { variables: "WORD=of a file\n", words: "a config\n", word: "a secret\n" };
    const script = [
      'id -u; id -G; hostname; pwd; echo "$WORD"; cat /etc/words /run/secrets/word',
      "grep -E '^(CapEff|NoNewPrivs|Seccomp):' /proc/self/status; ulimit -n; ulimit -Hn",
      "cat /proc/sys/net/ipv4/ip_unprivileged_port_start; cat /proc/1/comm",
      "touch /scratch/x && echo scratch; touch /x 2>/dev/null || echo read-only",
      "df -k /dev/shm | tail -1 | awk '{print $2}'",
    ].join("; ");
    await withProject(
      docker,
      yaml,
      async (compose) => {
        await compose.ok("up", "--detach");
        expect(lines(await compose.ok("exec", "-T", "strict", "sh", "-c", script))).toEqual([
          ...["1000", "1000 77", "strict", "/var", "of a file", "a config", "a secret"],
          ...[
            "CapEff:\t0000000000000000",
            "NoNewPrivs:\t1",
            "Seccomp:\t0",
            "100",
            "200",
            "81",
            "docker-init",
          ],
          ...["scratch", "read-only", "1024"],
        ]);
      },
      files,
    );
  },
);

check("network_mode, pid and ipc of another service: its namespaces are joined", async (docker) => {
  const yaml = `services:
  first:
    image: $IMAGE
    command: sleep 1000
    stop_grace_period: 0s
    ipc: shareable
  second:
    image: $IMAGE
    command: sleep 1000
    stop_grace_period: 0s
    network_mode: service:first
    pid: service:first
    ipc: service:first`;
  await withProject(docker, yaml, async (compose) => {
    await compose.ok("up", "--detach");
    const script = "for name in net pid ipc; do readlink /proc/self/ns/$name; done";
    const first = await compose.ok("exec", "-T", "first", "sh", "-c", script);
    expect(lines(first)).toHaveLength(3);
    expect(await compose.ok("exec", "-T", "second", "sh", "-c", script)).toBe(first);
  });
});
