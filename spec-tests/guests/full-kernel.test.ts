import { expect } from "vitest";
import type { Config } from "../harness/config.ts";
import { PYTHON, withPython } from "../harness/guests/python.ts";
import { QEMU_GUEST } from "../harness/guests/qemu.ts";
import type { GuestContainer, GuestSandbox } from "../harness/guests/sandbox.ts";
import { describeGuest, guestSpec } from "../harness/guests/spec.ts";
import { byCase } from "../harness/peers.ts";

const CGROUP_LEFT = "leaves the cgroup behind when a limit is refused";

const CPU = "config-linux.md, CPU";
const HUGE = "config-linux.md, Huge page limits";
const RDMA = "config-linux.md, RDMA";
const IO = "config-linux.md, Block IO";
const MUST = "runtime.md, Create: MUST error if a property cannot be applied";
const UPDATE = "practice of runc and crun";
const MIB = 1 << 20;
const ROOT = "/sys/fs/cgroup";
const DENY_ALL = { allow: false, access: "rwm" };
const ALLOWED_LISTS = "grep -E '^(Cpus|Mems)_allowed_list' /proc/self/status | cut -f 2 | xargs";

/** Each file takes a huge page of 2 MiB, or prints the error. */
const TAKE_HUGE =
  "for name in 1 2 3; do fallocate -l 2M /mnt/$name 2>&1 && echo taken; done; echo end; sleep 999";

function withHugetlbfs(config: Config): void {
  config.mounts.push({ destination: "/mnt", type: "hugetlbfs", source: "hugetlbfs" });
}

function python(config: Config, program: string): void {
  withPython(config);
  config.process.args = [...PYTHON, program];
}

/** Reserves 6 MiB of huge pages with one mmap(2), MAP_HUGETLB. */
const RESERVE = `import mmap
try: mmap.mmap(-1, 6 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x40000); print("reserved")
except OSError as error: print(error.strerror)`;

/** Opens the RDMA device twice. Each time it gets a context (IB_USER_VERBS_CMD_GET_CONTEXT), which takes one handle. */
const TAKE_HANDLES = `import ctypes, os, struct
for turn in range(2):
  response = ctypes.create_string_buffer(64)
  fd = os.open("/dev/uverbs", os.O_RDWR)
  try: os.write(fd, struct.pack("IHHQ", 0, 4, 2, ctypes.addressof(response))); print("taken")
  except OSError as error: print(error.strerror)`;

async function rdmaDevice(sandbox: GuestSandbox): Promise<(config: Config) => void> {
  const text = await sandbox.guest.output(
    `${MODPROBE} -a dummy crc32_generic rdma_rxe ib_uverbs
     [ -e /sys/class/infiniband/rxe0 ] || { ip link add rdma0 type dummy; ip link set rdma0 up; rdma link add rxe0 type rxe netdev rdma0; }
     cat /sys/class/infiniband_verbs/uverbs0/dev`,
  );
  const [major = 0, minor = 0] = text.split(":").map(Number);
  return (config) => {
    python(config, TAKE_HANDLES);
    config.linux.devices = [{ path: "/dev/uverbs", type: "c", major, minor }];
    config.linux.resources = {
      ...config.linux.resources,
      devices: [DENY_ALL, { allow: true, type: "c", major, minor, access: "rwm" }],
    };
  };
}

/** Not busybox's modprobe, which has no option for the modules' folder. */
const MODPROBE = '/usr/sbin/modprobe -d "$modules"';

async function cpuset(container: GuestContainer): Promise<string> {
  return (await container.files("cpuset.cpus", "cpuset.mems")).split("\n").join(" ");
}

describeGuest(
  "cpuset, hugetlb, rdma, io weights",
  () => {
    guestSpec("create with cpu.cpus and cpu.mems: the program gets only these", CPU, async (sandbox) => {
      const container = sandbox.limited(`${ALLOWED_LISTS}; sleep 999`, { cpu: { cpus: "1", mems: "1" } });
      await container.started();
      expect(await container.printed("^[0-9]")).toBe("1 1");
      expect(await cpuset(container)).toBe("1 1");
    });

    guestSpec("update --cpuset-cpus --cpuset-mems: the program gets only these", UPDATE, async (sandbox) => {
      const container = sandbox.limited("sleep 999", { cpu: { cpus: "1", mems: "1" } });
      await container.started();
      await container.updated("--cpuset-cpus", "0", "--cpuset-mems", "0-1");
      expect(await cpuset(container)).toBe("0 0-1");
      const result = await container.exec("sh", "-c", ALLOWED_LISTS);
      expect(result).toEqual({ code: 0, stdout: "0 0-1\n", stderr: "" });
    });

    for (const [name, value] of [
      ["cpus", "7"],
      ["mems", "7"],
    ] as const) {
      guestSpec(
        `create with cpu.${name} "${value}", which does not exist: error that names it`,
        MUST,
        async (sandbox) => {
          const result = await sandbox.limited("true", { cpu: { [name]: value } }).create();
          sandbox.expectRefusal(result, new RegExp(name), new RegExp(`/cpu/${name}: `));
        },
        { crun: CGROUP_LEFT },
      );
    }

    guestSpec(
      "create with cpu.cpus that the parent cgroup lacks: error that names it",
      MUST,
      async (sandbox) => {
        const parent = `${ROOT}/${sandbox.tag}-parent`;
        await sandbox.guest.output(
          `echo +cpuset > ${ROOT}/cgroup.subtree_control; mkdir ${parent}; echo 0 > ${parent}/cpuset.cpus`,
        );
        try {
          const container = sandbox.limited("true", { cpu: { cpus: "1" } }, (config) => {
            config.linux.cgroupsPath = `/${sandbox.tag}-parent${config.linux.cgroupsPath}`;
          });
          const words = /\/cpu\/cpus: .*-parent.* has none of the CPUs 1, only 0/;
          sandbox.expectRefusal(await container.create(), /cpu/, words);
        } finally {
          await sandbox.guest.output(`find ${parent} -depth -type d -exec rmdir {} ';'`);
        }
      },
      { both: "neither checks which CPUs the kernel gives instead" },
    );

    guestSpec("create with hugepageLimits: the kernel refuses one page more", HUGE, async (sandbox) => {
      const limits = { hugepageLimits: [{ pageSize: "2MB", limit: 4 * MIB }] };
      const container = sandbox.limited(TAKE_HUGE, limits, withHugetlbfs);
      await container.started();
      await container.printed("end");
      expect((await container.printed(".")).replace(/.*: /, "")).toBe(
        "taken\ntaken\nNo space left on device\nend",
      );
      expect(await container.files("hugetlb.2MB.max", "hugetlb.2MB.current")).toBe(`${4 * MIB}\n${4 * MIB}`);
      expect(await container.count("hugetlb.2MB.events", "max")).toBeGreaterThan(0);
    });

    const deviations = byCase({ crun: "reservations of huge pages are not limited", cases: ["4"] });

    for (const [limit, expected] of [
      [4 * MIB, "Cannot allocate memory"],
      [8 * MIB, "reserved"],
    ] as const) {
      guestSpec(
        `create with hugepageLimits of ${limit >> 20} MiB, a mapping of 6 MiB: ${expected}`,
        `${HUGE}: rsvd`,
        async (sandbox) => {
          const resources = { hugepageLimits: [{ pageSize: "2MB", limit }] };
          const container = sandbox.limited("", resources, (config) => python(config, RESERVE));
          expect(await container.output()).toBe(expected);
        },
        deviations(limit >> 20),
      );
    }

    guestSpec(
      "create with hugepageLimits, no multiple of the page size: rounded down by the kernel",
      HUGE,
      async (sandbox) => {
        const container = sandbox.limited("sleep 999", {
          hugepageLimits: [{ pageSize: "2MB", limit: 5 * MIB }],
        });
        await container.created();
        expect(await container.files("hugetlb.2MB.max")).toBe(String(4 * MIB));
      },
    );

    guestSpec(
      "update with hugepageLimits: limits usage and reservations",
      UPDATE,
      async (sandbox) => {
        const container = sandbox.limited("sleep 999", {});
        await container.started();
        const result = await container.update({ hugepageLimits: [{ pageSize: "2MB", limit: 2 * MIB }] });
        expect(result).toEqual({ code: 0, stdout: "", stderr: "" });
        expect(await container.files("hugetlb.2MB.max", "hugetlb.2MB.rsvd.max")).toBe(
          `${2 * MIB}\n${2 * MIB}`,
        );
      },
      {
        crun: "reservations of huge pages are not limited",
        runc: "update takes neither huge pages nor RDMA",
      },
    );

    guestSpec(
      "create with hugepageLimits, unknown page size: error that names it",
      MUST,
      async (sandbox) => {
        const result = await sandbox
          .limited("true", { hugepageLimits: [{ pageSize: "3MB", limit: 0 }] })
          .create();
        sandbox.expectRefusal(result, /3MB/, /\/hugepageLimits\/0\/limit: .*hugetlb\.3MB\.max/);
      },
      { crun: CGROUP_LEFT },
    );

    guestSpec(
      "create with rdma, one handle: the kernel refuses a second",
      RDMA,
      async (sandbox) => {
        const mutate = await rdmaDevice(sandbox);
        const container = sandbox.limited("", { rdma: { rxe0: { hcaHandles: 1 } } }, mutate);
        expect(await container.output()).toBe("taken\nResource temporarily unavailable");
      },
      { crun: "rdma is ignored" },
    );

    guestSpec(
      "create and update with rdma: rdma.max is set",
      RDMA,
      async (sandbox) => {
        await rdmaDevice(sandbox);
        const container = sandbox.limited("sleep 999", {
          rdma: { rxe0: { hcaHandles: 3, hcaObjects: 100 } },
        });
        await container.started();
        expect(await container.files("rdma.max")).toBe("rxe0 hca_handle=3 hca_object=100");
        const result = await container.update({ rdma: { rxe0: { hcaObjects: 200 } } });
        expect(result).toEqual({ code: 0, stdout: "", stderr: "" });
        expect(await container.files("rdma.max")).toBe("rxe0 hca_handle=3 hca_object=200");
      },
      { crun: "rdma is ignored", runc: "update takes neither huge pages nor RDMA" },
    );

    guestSpec(
      "create with rdma, unknown device: error that names it",
      MUST,
      async (sandbox) => {
        const result = await sandbox.limited("true", { rdma: { none0: { hcaHandles: 1 } } }).create();
        sandbox.expectRefusal(result, /rdma/, /\/rdma\/none0: .*no such RDMA device/);
      },
      { crun: "rdma is ignored" },
    );

    guestSpec(
      "create with blockIO.weight and weightDevice: io.weight is set, on its own scale",
      IO,
      async (sandbox) => {
        const disk = await sandbox.guest.output(
          `${MODPROBE} null_blk nr_devices=1; cat /sys/block/nullb0/dev`,
        );
        await sandbox.guest.output(`echo "${disk} enable=1" > ${ROOT}/io.cost.qos`);
        const [major, minor] = disk.split(":").map(Number);
        const blockIO = { weight: 500, weightDevice: [{ major, minor, weight: 10 }] };
        const container = sandbox.limited("sleep 999", { blockIO });
        await container.created();
        expect(await container.files("io.weight")).toBe(`default 4950\n${disk} 1`);
      },
      { both: "sets weights of devices only with BFQ" },
    );

    guestSpec(
      "create with blockIO.weight, with BFQ: io.bfq.weight is set, unconverted",
      IO,
      async (sandbox) => {
        await sandbox.guest.output(`${MODPROBE} bfq`);
        try {
          const container = sandbox.limited("sleep 999", { blockIO: { weight: 500 } });
          await container.created();
          expect(await container.files("io.bfq.weight", "io.weight")).toBe("default 500\ndefault 100");
        } finally {
          await sandbox.guest.output("rmmod bfq");
        }
      },
    );
  },
  QEMU_GUEST,
);
