import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { containerdTests } from "../harness/engines/containerd.ts";
import { type CriContainerOptions, NODE, POD } from "../harness/engines/cri.ts";
import { ended, inPod } from "../harness/engines/pods.ts";

const everyday = containerdTests();

everyday(
  "CRI status: runtime and network are ready with the settings of examples/kubernetes",
  async ({ cri }) => {
    expect(await cri.conditions()).toMatchObject({ RuntimeReady: true, NetworkReady: true });
  },
);

everyday("CRI pod of the RuntimeClass: sandbox and containers use the runtime under test", async (engine) => {
  await inPod(engine, {}, async (start, pod) => {
    const { ready, handler, info } = await engine.cri.podInfo(pod);
    expect({ ready, handler }).toEqual({ ready: true, handler: "runts" });
    const { runtimeOptions } = JSON.parse(info);
    expect(runtimeOptions.binary_name).toBe(engine.podRuntime);
    const id = await start();
    expect((await engine.cri.status(id)).state).toBe("running");
  });
});

everyday("CRI container: its log has the output of each stream", async (engine) => {
  await inPod(engine, {}, async (start) => {
    const id = await start({ name: "talks", command: ["sh", "-c", "echo out; echo err >&2; exit 7"] });
    expect(await ended(engine, id)).toBe(7);
    const log = (): string => readFileSync(join(engine.directory, "logs/talks.log"), "utf8");
    await expect.poll(log).toMatch(/ stdout F out\n/);
    await expect.poll(log).toMatch(/ stderr F err\n/);
  });
});

everyday("CRI exec: output, errors and exit code", async (engine) => {
  await inPod(engine, {}, async (start) => {
    const result = await engine.cri.exec(await start(), "sh", "-c", "echo out; echo err >&2; exit 42");
    expect(result).toEqual({ code: 42, stdout: "out\n", stderr: "err\n" });
  });
});

everyday("CRI exec, command not found: error with the runtime's reason", async (engine) => {
  await inPod(engine, {}, async (start) => {
    const exec = engine.cri.exec(await start(), "no-such-command");
    await expect(exec).rejects.toThrow('exec: "no-such-command": executable file not found in $PATH');
  });
});

everyday(
  "CRI start, command not found: error with the runtime's reason, kept in the status",
  async (engine) => {
    await inPod(engine, {}, async (start) => {
      const reason = 'exec: "no-such-command": executable file not found in $PATH';
      await expect(start({ command: ["no-such-command"] })).rejects.toThrow(reason);
      const [id = ""] = await engine.cri.containers();
      const status = await engine.cri.status(id);
      expect(status).toMatchObject({ state: "exited", code: 128, reason: "StartError" });
      expect(status.message).toContain(reason);
    });
  },
);

everyday("CRI stop: sends SIGTERM, and SIGKILL after the grace period", async (engine) => {
  await inPod(engine, {}, async (start) => {
    const polite = await start({
      command: ["sh", "-c", "trap 'exit 3' TERM; touch /up; while :; do sleep 0.05; done"],
    });
    const deaf = await start({
      command: ["sh", "-c", "trap '' TERM; touch /up; while :; do sleep 0.05; done"],
    });
    for (const id of [polite, deaf]) {
      const up = async (): Promise<number> => (await engine.cri.exec(id, "test", "-e", "/up")).code;
      await expect.poll(up).toBe(0);
    }
    await engine.cri.stop(polite, 30);
    expect((await engine.cri.status(polite)).code).toBe(3);
    await engine.cri.stop(deaf, 1);
    expect((await engine.cri.status(deaf)).code).toBe(137);
  });
});

everyday("CRI remove, a stopped container: another can take its place in the pod", async (engine) => {
  await inPod(engine, {}, async (start) => {
    const first = await start({ name: "same", command: ["true"] });
    await ended(engine, first);
    await engine.cri.remove(first);
    const second = await start({ name: "same" });
    expect(await engine.cri.containers()).toEqual([second]);
  });
});

everyday("CRI pod: its containers share network, IPC and hostname, not pids and mounts", async (engine) => {
  await inPod(engine, { hostname: "the-pod" }, async (start) => {
    const [one, two] = [await start(), await start()];
    const look = async (id: string): Promise<string[]> => {
      const script = "for n in net ipc uts pid mnt cgroup; do readlink /proc/self/ns/$n; done; hostname";
      return (await engine.cri.exec(id, "sh", "-c", script)).stdout.trim().split("\n");
    };
    const [first, second] = [await look(one), await look(two)];
    expect(first).toHaveLength(7);
    const shared = first.map((value, index) => value === second[index]);
    expect(shared).toEqual([true, true, true, false, false, false, true]);
    expect(first[6]).toBe("the-pod");
  });
});

everyday("CRI pod with shareProcessNamespace: containers see each other's processes", async (engine) => {
  await inPod(engine, { namespaces: { pid: POD } }, async (start) => {
    await start({ pid: POD, command: ["sleep", "998"] });
    const { stdout } = await engine.cri.exec(await start({ pid: POD }), "ps", "-o", "pid,args");
    expect(stdout).toMatch(/^ +1 .*sleep 1000000/m); // the sandbox's
    expect(stdout).toMatch(/sleep 998$/m);
  });
});

everyday(
  "CRI pod with hostNetwork, hostPID, hostIPC: shares the namespaces of containerd",
  async (engine) => {
    const namespaces = { network: NODE, pid: NODE, ipc: NODE };
    await inPod(engine, { namespaces }, async (start) => {
      const id = await start({ network: NODE, pid: NODE, ipc: NODE });
      const script = "for n in net pid ipc; do readlink /proc/self/ns/$n; done";
      const { stdout } = await engine.cri.exec(id, "sh", "-c", script);
      expect(stdout.trim().split("\n")).toEqual(["net", "pid", "ipc"].map((name) => engine.ofDaemon(name)));
    });
  },
);

everyday("CRI pods: each has an address from CNI, and reaches the other", async (engine) => {
  await inPod(engine, { name: "server" }, async (startServer, server) => {
    const address = await engine.cri.podAddress(server);
    expect(address).toMatch(/^10\.88\.77\.\d+$/);
    const serve = "while :; do echo from the server | nc -l -p 8080; done";
    await startServer({ command: ["sh", "-c", serve] });
    await inPod(engine, { name: "client" }, async (startClient) => {
      const client = await startClient();
      const ask = async (): Promise<string> =>
        (await engine.cri.exec(client, "nc", "-w", "2", address, "8080")).stdout;
      await expect.poll(ask, { timeout: 20_000, interval: 200 }).toBe("from the server\n");
    });
  });
});

everyday("CRI pod with sysctls: applied in the sandbox's namespaces", async (engine) => {
  await inPod(engine, { sysctls: { "net.ipv4.ip_unprivileged_port_start": "80" } }, async (start) => {
    const { stdout } = await engine.cri.exec(
      await start(),
      "cat",
      "/proc/sys/net/ipv4/ip_unprivileged_port_start",
    );
    expect(stdout).toBe("80\n");
  });
});

everyday("CRI pod with hostUsers false: its containers share a user namespace", async (engine) => {
  await inPod(engine, { userNamespace: { host: 200_000, length: 65_536 } }, async (start) => {
    const userNamespace = { host: 200_000, length: 65_536 };
    const [one, two] = [await start({ userNamespace }), await start({ userNamespace })];
    const script =
      "readlink /proc/self/ns/user; cat /proc/self/uid_map; touch /new; stat -c %u:%g /new /bin/busybox";
    const [first, second] = [
      await engine.cri.exec(one, "sh", "-c", script),
      await engine.cri.exec(two, "sh", "-c", script),
    ];
    expect(first).toEqual({ ...second, code: 0, stderr: "" });
    const [name, ...rest] = first.stdout.trim().split(/\s+/);
    expect(name).not.toBe(engine.ofDaemon("user"));
    expect(rest).toEqual(["0", "200000", "65536", "0:0", "0:0"]);
  });
});

everyday("CRI container with mounts: read-only and writable ones work", async (engine) => {
  const folder = join(engine.directory, "volume");
  mkdirSync(folder);
  writeFileSync(join(folder, "in"), "from the host\n");
  await inPod(engine, {}, async (start) => {
    const mounts = [
      { source: folder, target: "/rw" },
      { source: folder, target: "/ro", readonly: true },
    ];
    const id = await start({ mounts });
    const { stdout } = await engine.cri.exec(
      id,
      "sh",
      "-c",
      "cat /ro/in; echo back > /rw/out; touch /ro/x 2>&1",
    );
    expect(stdout).toMatch(/^from the host\n.*Read-only file system\n$/);
    expect(readFileSync(join(folder, "out"), "utf8")).toBe("back\n");
  });
});

everyday(
  "CRI container with mountPropagation: later mounts propagate in, out, or not at all",
  async (engine) => {
    const shared = join(engine.directory, "shared");
    for (const name of ["in", "out"]) mkdirSync(join(shared, name));
    await inPod(engine, { privileged: true }, async (start) => {
      const mount = (propagation: number) => [{ source: shared, target: "/shared", propagation }];
      const own = await start({ mounts: mount(0) });
      const receives = await start({ mounts: mount(1) });
      const both = await start({ privileged: true, mounts: mount(2) });
      await engine.besideDaemon("mount", "-t", "tmpfs", "from-host", join(shared, "in"));
      await engine.cri.exec(both, "mount", "-t", "tmpfs", "from-container", "/shared/out");
      const show = "grep -o '^from-[a-z]*' /proc/mounts";
      const seen = async (id: string): Promise<string> =>
        (await engine.cri.exec(id, "sh", "-c", show)).stdout;
      expect(await seen(own)).toBe("");
      expect(await seen(receives)).toBe("from-host\nfrom-container\n");
      expect((await engine.besideDaemon("sh", "-c", show)).stdout).toBe("from-host\nfrom-container\n");
      for (const name of ["in", "out"]) await engine.besideDaemon("umount", join(shared, name));
    });
  },
);

everyday("CRI container with env, workdir, user and groups: applied", async (engine) => {
  await inPod(engine, {}, async (start) => {
    const id = await start({ env: { A: "b c" }, workdir: "/var", user: 1000, groups: [5, 6] });
    const { stdout } = await engine.cri.exec(id, "sh", "-c", 'echo "$A"; pwd; id -u; id -G');
    expect(stdout).toBe("b c\n/var\n1000\n1000 5 6\n");
    const named = await start({ username: "alice" });
    expect((await engine.cri.exec(named, "id", "-un")).stdout).toBe("alice\n");
  });
});

everyday("CRI container with seccomp profile, capabilities, no_new_privs: applied", async (engine) => {
  const show = ["grep", "-E", "^(CapEff|NoNewPrivs|Seccomp):", "/proc/self/status"];
  await inPod(engine, {}, async (start) => {
    const look = async (options: Partial<CriContainerOptions>): Promise<string> =>
      (await engine.cri.exec(await start(options), ...show)).stdout;
    const all = { dropCapabilities: ["ALL"], addCapabilities: ["NET_BIND_SERVICE"], noNewPrivileges: true };
    expect(await look(all)).toBe("CapEff:\t0000000000000400\nNoNewPrivs:\t1\nSeccomp:\t2\n");
    expect(await look({ seccomp: 1 })).toMatch(/^NoNewPrivs:\t0\nSeccomp:\t0$/m);
  });
});

everyday(
  "CRI container, privileged: has all capabilities, the machine's devices and no seccomp filter",
  async (engine) => {
    await inPod(engine, { privileged: true }, async (start) => {
      const id = await start({ privileged: true, seccomp: 1 });
      const script =
        "grep ^Seccomp: /proc/self/status; mount -t tmpfs t /mnt && echo mounted; stat -c %t:%T /dev/kmsg";
      expect((await engine.cri.exec(id, "sh", "-c", script)).stdout).toBe("Seccomp:\t0\nmounted\n1:b\n");
    });
  },
);

everyday("CRI container with readOnlyRootFilesystem: can't write", async (engine) => {
  await inPod(engine, {}, async (start) => {
    const id = await start({ readonlyRootfs: true });
    expect((await engine.cri.exec(id, "touch", "/x")).stderr).toMatch(/Read-only file system/);
  });
});

everyday(
  "CRI container with the kubelet's masked and read-only paths: hidden, and not writable",
  async (engine) => {
    await inPod(engine, {}, async (start) => {
      const id = await start({
        maskedPaths: ["/proc/timer_list", "/sys/firmware"],
        readonlyPaths: ["/proc/sys"],
      });
      const script = "wc -c < /proc/timer_list; ls /sys/firmware | wc -l; echo 1 > /proc/sys/vm/swappiness";
      const { stdout, stderr } = await engine.cri.exec(id, "sh", "-c", script);
      expect(stdout).toBe("0\n0\n");
      expect(stderr).toMatch(/Read-only file system/);
    });
  },
);

everyday("CRI update, a running container: its cgroup gets the new limit", async (engine) => {
  await inPod(engine, {}, async (start) => {
    const id = await start();
    await engine.cri.update(id, { unified: { "hugetlb.2MB.max": "4194304" } });
    const [path = ""] =
      /[^:]*$/.exec(readFileSync(`/proc/${await engine.cri.pid(id)}/cgroup`, "utf8").trim()) ?? [];
    expect(readFileSync(`/sys/fs/cgroup${path}/hugetlb.2MB.max`, "utf8")).toBe("4194304\n");
  });
});

everyday("CRI, containerd restarted: pods and containers keep running, exec works", async (engine) => {
  await inPod(engine, {}, async (start, pod) => {
    const id = await start();
    await engine.restart();
    expect((await engine.cri.podInfo(pod)).ready).toBe(true);
    expect((await engine.cri.exec(id, "echo", "still")).stdout).toBe("still\n");
  });
});
