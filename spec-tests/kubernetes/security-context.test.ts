import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { check } from "../harness/kubernetes/check.ts";
import { eventually } from "../harness/kubernetes/eventually.ts";
import { Node } from "../harness/kubernetes/node.ts";
import { HOME } from "../harness/kubernetes/places.ts";
import { container, type Fields, podSpec } from "../harness/kubernetes/pods.ts";

/** Lines of /proc/PID/status. */
const status = (...names: readonly string[]): string => `grep -E '^(${names.join("|")}):' /proc/self/status`;

/** Capabilities that a container has if nobody says anything, as containerd's default has them. */
const DEFAULT_CAPABILITIES = "00000000a80425fb";

check("runAsUser, runAsGroup, supplementalGroups and fsGroup: the process has them", async ({ pods }) => {
  const securityContext = { runAsUser: 1000, runAsGroup: 3000, supplementalGroups: [4000], fsGroup: 2000 };
  const { log } = await pods.run(status("Uid", "Gid", "Groups"), {}, { securityContext });
  expect(log).toBe("Uid:\t1000\t1000\t1000\t1000\nGid:\t3000\t3000\t3000\t3000\nGroups:\t2000 3000 4000 \n");
});

check("runAsUser and runAsGroup of the container: they win over the pod's", async ({ pods }) => {
  const own = { securityContext: { runAsUser: 1234, runAsGroup: 1235 } };
  const { log } = await pods.run("id -u; id -g", own, { securityContext: { runAsUser: 1, runAsGroup: 2 } });
  expect(log).toBe("1234\n1235\n");
});

check("runAsNonRoot with an image of root: the container is not created, and says why", async ({ pods }) => {
  await pods.create("pod", podSpec(container(), { securityContext: { runAsNonRoot: true } }));
  const { waiting } = await pods.state(
    "pod",
    ({ state }) => state.waiting?.reason === "CreateContainerConfigError",
  );
  expect(waiting?.message).toContain("container has runAsNonRoot and image will run as root");
});

check("runAsNonRoot with an image of another user: the process is that user", async ({ pods }) => {
  const image = "gcr.io/kubernetes-e2e-test-images/nonroot:1.0";
  const { log } = await pods.run("id -u", { image, securityContext: { runAsNonRoot: true } });
  expect(log).toBe("1234\n");
});

check("fsGroup: volumes belong to the group, and so do new files in them", async ({ pods }) => {
  const volumes = [{ name: "data", emptyDir: {} }];
  const volumeMounts = [{ name: "data", mountPath: "/data" }];
  const script = "stat -c '%g %A' /data; touch /data/file; stat -c %g /data/file";
  const securityContext = { runAsUser: 1000, runAsGroup: 1000, fsGroup: 2000 };
  const { log } = await pods.run(script, { volumeMounts }, { volumes, securityContext });
  expect(log).toBe("2000 drwxrwsrwx\n2000\n");
});

check("capabilities added and dropped: the process has the others", async ({ pods }) => {
  const show = status("CapEff", "CapBnd");
  const all = await pods.run(show);
  expect(all.log).toBe(`CapEff:\t${DEFAULT_CAPABILITIES}\nCapBnd:\t${DEFAULT_CAPABILITIES}\n`);
  const chosen = { securityContext: { capabilities: { drop: ["ALL"], add: ["CHOWN", "NET_BIND_SERVICE"] } } };
  await pods.create(
    "chosen",
    podSpec(container(`${show}; touch f; chown 1:1 f`, chosen), { restartPolicy: "Never" }),
  );
  expect((await pods.ended("chosen")).exitCode).toBe(0);
  expect(await pods.log("chosen")).toBe("CapEff:\t0000000000000401\nCapBnd:\t0000000000000401\n");
});

check(
  "privileged: all capabilities of the node, its devices, a writable /sys, no filter and nothing masked",
  async ({ pods }) => {
    const securityContext = { privileged: true };
    const script = `${status("CapEff", "Seccomp")}; ls /dev | wc -l; grep -c ' /proc/' /proc/self/mountinfo
    mkdir /m && mount -t tmpfs none /m && echo mounted; grep ' /sys ' /proc/self/mountinfo`;
    await pods.create(
      "pod",
      podSpec(container(`${script}; exec sleep 1000000`, { securityContext }), { nodeName: "node1" }),
    );
    await pods.ready("pod");
    const nodes = (await new Node(1).call("grep", "CapBnd", "/proc/self/status")).stdout.slice(
      "CapBnd:\t".length,
    );
    const [capabilities, seccomp, devices, masks, mounted, sys] = (await pods.log("pod")).split("\n");
    expect(capabilities).toBe(`CapEff:\t${nodes.trim()}`);
    expect(seccomp).toBe("Seccomp:\t0");
    expect(Number(devices)).toBeGreaterThan(15);
    expect(masks).toBe("0");
    expect(mounted).toBe("mounted");
    expect(sys).toMatch(/ \/sys rw,/);
  },
);

check("a container without privileges: few devices, a read-only /sys, masked paths", async ({ pods }) => {
  const script = `ls /dev/mem /dev/kmsg 2>/dev/null | wc -l; grep -c ' /proc/' /proc/self/mountinfo
    mkdir /m; mount -t tmpfs none /m 2>/dev/null || echo refused; grep ' /sys ' /proc/self/mountinfo`;
  const [devices, masks, mounted, sys] = (await pods.run(script)).log.split("\n");
  expect(devices).toBe("0");
  expect(Number(masks)).toBeGreaterThan(5);
  expect(mounted).toBe("refused");
  expect(sys).toMatch(/ \/sys ro,/);
});

for (const [allowed, user] of [
  [true, 0],
  [false, 1000],
])
  check(
    `allowPrivilegeEscalation ${allowed}: a set-user-ID program runs as user ${user}`,
    async ({ pods }) => {
      const image = "gcr.io/kubernetes-e2e-test-images/nonewprivs:1.0";
      const securityContext = { allowPrivilegeEscalation: allowed };
      const { log } = await pods.run(`/show-user; ${status("NoNewPrivs")}`, { image, securityContext });
      expect(log).toBe(`Effective uid: ${user}\nNoNewPrivs:\t${allowed ? 0 : 1}\n`);
    },
  );

check("readOnlyRootFilesystem: only volumes can be written", async ({ pods }) => {
  const volumes = [{ name: "data", emptyDir: {} }];
  const fields = {
    volumeMounts: [{ name: "data", mountPath: "/data" }],
    securityContext: { readOnlyRootFilesystem: true },
  };
  const { log } = await pods.run("touch /file 2>&1; touch /data/file && echo written", fields, { volumes });
  expect(log).toBe("touch: /file: Read-only file system\nwritten\n");
});

check("procMount Unmasked: nothing of /proc is masked; Default: it is", async ({ pods }) => {
  const script = "grep ' /proc/' /proc/self/mountinfo | wc -l";
  expect((await pods.run(script, { securityContext: { procMount: "Unmasked" } })).log).toBe("0\n");
  const masked = container(script, { securityContext: { procMount: "Default" } });
  await pods.create("default", podSpec(masked, { restartPolicy: "Never" }));
  await pods.ended("default");
  expect(Number(await pods.log("default"))).toBeGreaterThan(5);
});

check(
  "seccompProfile RuntimeDefault: a filter that refuses what an unfiltered container may",
  async ({ pods }) => {
    const script = `${status("Seccomp")}; unshare -U true 2>&1`;
    const { log } = await pods.run(script, {
      securityContext: { seccompProfile: { type: "RuntimeDefault" } },
    });
    expect(log).toMatch(/^Seccomp:\t2\nunshare: .*Operation not permitted\n$/);
  },
);

check("seccompProfile Unconfined of the container: no filter, whatever the pod says", async ({ pods }) => {
  const own = { securityContext: { seccompProfile: { type: "Unconfined" } } };
  const ofPod = { securityContext: { seccompProfile: { type: "RuntimeDefault" } } };
  expect((await pods.run(status("Seccomp"), own, ofPod)).log).toBe("Seccomp:\t0\n");
});

check("seccompProfile Localhost: the node's profile decides", async ({ pods }) => {
  const profile = {
    defaultAction: "SCMP_ACT_ALLOW",
    syscalls: [{ names: ["chmod", "fchmod", "fchmodat"], action: "SCMP_ACT_ERRNO", errnoRet: 95 }],
  };
  mkdirSync(join(HOME, "seccomp/profiles"), { recursive: true });
  writeFileSync(join(HOME, "seccomp/profiles/no-chmod.json"), JSON.stringify(profile));
  const seccompProfile = { type: "Localhost", localhostProfile: "profiles/no-chmod.json" };
  const { log } = await pods.run(
    `touch /f; chmod 600 /f 2>&1; ${status("Seccomp")}`,
    {},
    { securityContext: { seccompProfile } },
  );
  expect(log).toMatch(/^chmod: \/f: .*not supported\nSeccomp:\t2\n$/i);
});

check(
  "seccompProfile Localhost without the file: the container is not created, and says why",
  async ({ pods }) => {
    const seccompProfile = { type: "Localhost", localhostProfile: "profiles/missing.json" };
    await pods.create("pod", podSpec(container("", { securityContext: { seccompProfile } })));
    const { waiting } = await pods.state(
      "pod",
      ({ state }) => state.waiting?.reason === "CreateContainerError",
    );
    expect(waiting?.message).toContain("profiles/missing.json");
  },
);

/** Sysctls of a pod, as its security context has them. */
function sysctls(values: Readonly<Record<string, string>>): Fields {
  return { securityContext: { sysctls: Object.entries(values).map(([name, value]) => ({ name, value })) } };
}

check(
  "sysctls, safe ones and unsafe ones that the node allows: the pod's namespaces have the values",
  async ({ pods }) => {
    const values = {
      "kernel.shm_rmid_forced": "1",
      "net.ipv4.ip_local_port_range": "20000 30000",
      "kernel.msgmax": "65000",
      "net.core.somaxconn": "77",
    };
    const files = Object.keys(values).map((name) => `/proc/sys/${name.replaceAll(".", "/")}`);
    const { log } = await pods.run(`cat ${files.join(" ")}`, {}, sysctls(values));
    expect(log).toBe("1\n20000\t30000\n65000\n77\n");
  },
);

check("sysctls that the node does not allow: the pod fails with SysctlForbidden", async ({ pods }) => {
  await pods.create(
    "pod",
    podSpec(container(), { nodeName: "node1", ...sysctls({ "kernel.sem": "1 2 3 4" }) }),
  );
  await eventually(
    async () => (await pods.get("pod")).status,
    (found) =>
      expect(found).toMatchObject({
        phase: "Failed",
        reason: "SysctlForbidden",
      }),
  );
});

check(
  "seLinuxOptions on a kernel without SELinux, and windowsOptions: they change nothing",
  async ({ pods }) => {
    const securityContext = {
      seLinuxOptions: { level: "s0:c1,c2" },
      windowsOptions: { runAsUserName: "ContainerUser" },
    };
    const { log, exitCode } = await pods.run("id -u", { securityContext });
    expect({ log, exitCode }).toEqual({ log: "0\n", exitCode: 0 });
  },
);
