import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { expect } from "vitest";
import { byCase } from "../harness/peers.ts";
import { expectRefusal, inOurWords } from "../harness/refusal.ts";
import { spec } from "../harness/spec.ts";

/** Parts of config.json whose length does not fit in 16 bits reach the container whole, or are refused. */

spec("run with 1 MB of environment: each byte arrives unchanged", "CVE-2021-43784", async (sandbox) => {
  const values = Array.from({ length: 10 }, (_, index) => `V${index}=${String(index).repeat(100_000)}`);
  const container = sandbox.shell(
    "for i in 0 1 2 3 4 5 6 7 8 9; do eval echo \\$V$i; done | md5sum",
    (config) => {
      config.process.env?.push(...values);
    },
  );
  const text = values.map((value) => `${value.slice(3)}\n`).join("");
  expect((await container.output()).slice(0, 32)).toBe(createHash("md5").update(text).digest("hex"));
});

for (const count of [65_535, 65_536, 65_537, 131_072 - 20]) {
  spec(`run with an argument of ${count} bytes: arrives whole`, "CVE-2021-43784", async (sandbox) => {
    const container = sandbox.container((config) => {
      config.process.args = ["sh", "-c", 'printf %s "$1" | wc -c', "sh", "x".repeat(count)];
    });
    expect(await container.output()).toBe(`${count}\n`);
  });
}

spec(
  "create with mappings of more than 64 KiB: error, and no namespace is left out",
  "CVE-2021-43784",
  async (sandbox) => {
    const container = sandbox.container((config) => {
      config.linux.namespaces.push({ type: "user" });
      const mappings = Array.from({ length: 5000 }, (_, index) => ({
        containerID: 2 * index,
        hostID: 100_000 + 2 * index,
        size: 1,
      }));
      config.linux.uidMappings = mappings;
      config.linux.gidMappings = mappings;
    });
    expectRefusal(await container.create(), inOurWords("apping"));
    expect(await sandbox.traces()).toEqual([]);
  },
  { crun: "leaves the cgroup when create fails after making it" },
);

for (const [field, length] of [
  ["source", 70_000],
  ["destination", 70_000],
] as const) {
  spec(
    `create, a mount's ${field} of ${length} bytes: error, nothing left`,
    "CVE-2021-43784",
    async (sandbox) => {
      const container = sandbox.container(({ mounts }) => {
        const mount = { destination: "/mnt", type: "bind", source: "/etc", options: ["bind"] };
        mounts.push({ ...mount, [field]: `/${"x".repeat(length)}` });
      });
      expectRefusal(await container.create(), inOurWords("name too long"));
      expect(await sandbox.traces()).toEqual([]);
    },
  );
}

const deviations = byCase({
  crun: "strings end at their NUL byte",
  cases: ["source", "destination", "options"],
});

for (const field of ["source", "destination", "type", "options"] as const) {
  spec(
    `create, a NUL byte in a mount's ${field}: error, nothing left`,
    "CVE-2021-43784",
    async (sandbox) => {
      const container = sandbox.container();
      const mount = { destination: "/mnt", type: "tmpfs", source: "tmpfs", options: ["ro"] };
      const text = "ro\u0000,rw";
      container.config.mounts.push({ ...mount, [field]: field === "options" ? [text] : `/${text}` });
      writeFileSync(`${container.bundle}/config.json`, JSON.stringify(container.config));
      expectRefusal(await container.create(), inOurWords(`/mounts/7/${field}`));
      expect(await sandbox.traces()).toEqual([]);
    },
    deviations(field),
  );
}
