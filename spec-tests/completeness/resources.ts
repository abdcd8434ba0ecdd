import type { Coverage } from "./rows.ts";

const VERSION_ONE = "create with {}: error that names it, nothing left";

function versionOne(...properties: readonly string[]): Coverage {
  return Object.fromEntries(
    properties.map((property) => [`/linux/resources/${property}`, [VERSION_ONE.replace("{}", property)]]),
  );
}

/** A property with the test on a host without its controller, and those in guests that have it. */
function resource(property: string, titles: readonly string[]): Coverage {
  return {
    [`/linux/resources/${property}`]: [
      `create with ${property}, no such controller: error that names both`,
      ...titles,
    ],
  };
}

export const RESOURCES: Coverage = {
  "/linux/resources/devices": [
    "devices deny all, then one allowed: it opens",
    "devices deny all: the default devices work",
    "devices, no resources at all: only the default ones open",
    "update --resources with devices: the rules are replaced",
  ],
  "/linux/resources/devices/*/allow": [
    "create, devices deny all: a node can be made, but not opened",
    "devices allow all (privileged): any node opens",
  ],
  "/linux/resources/devices/*/type={}": ["devices allow all (privileged): any node opens"],
  "/linux/resources/devices/*/type=b": [
    "create with devices, a disk allowed for reading: read works, write fails",
  ],
  "/linux/resources/devices/*/type=c": ["devices deny all, then one allowed: it opens"],
  "/linux/resources/devices/*/access": ["devices allowed for writing only: reading fails"],
  ...resource("memory/limit", [
    "create with memory.limit, a process exceeds it: killed, counted in memory.events",
  ]),
  ...resource("memory/reservation", [
    "update --memory-swap, --memory-reservation, -1: converted to cgroup v2",
  ]),
  ...resource("memory/swap", [
    "create with memory.limit and more swap: the excess is swapped out",
    'update --resources "{}": error',
  ]),
  "/linux/resources/memory/useHierarchy": ['run with {"memory":{"kernel":-1…'],
  "/linux/resources/memory/checkBeforeUpdate": [
    "update with checkBeforeUpdate and memory.limit below the usage: refused",
  ],
  ...resource("cpu/shares", [
    "create with cpu.shares: of two busy loops, the one with more shares gets more CPU time",
    'create with cpu {"shares":1024}…',
  ]),
  ...resource("cpu/quota", [
    "create with cpu.quota: a busy loop gets its quota",
    'create with cpu {"quota":50000}…',
  ]),
  "/linux/resources/cpu/period": ['create with cpu {"period":200000}…'],
  ...resource("cpu/burst", ['create with cpu {"quota":50000,"period":200000,"burst":20000}…']),
  ...resource("cpu/idle", ['create with cpu {"idle":1}…']),
  ...resource("cpu/cpus", [
    "create with cpu.cpus and cpu.mems: the program gets only these",
    'create with cpu.cpus "7", which does not exist: error that names it',
  ]),
  ...resource("cpu/mems", [
    "create with cpu.cpus and cpu.mems: the program gets only these",
    'create with cpu.mems "7", which does not exist: error that names it',
  ]),
  ...resource("pids/limit", [
    "create with pids.limit: a fork bomb stops at the limit",
    "run with pids.limit 0: fork fails",
  ]),
  ...resource("blockIO/weight", ["create with blockIO.weight, with BFQ: io.bfq.weight is set, unconverted"]),
  ...resource("blockIO/weightDevice", [
    "create with blockIO.weight and weightDevice: io.weight is set, on its own scale",
  ]),
  ...resource("blockIO/throttleReadBpsDevice", [
    "create with blockIO.throttleReadBpsDevice: the rate is kept within 20%",
  ]),
  ...resource("blockIO/throttleWriteBpsDevice", [
    "create with blockIO.throttleWriteBpsDevice: the rate is kept within 20%",
  ]),
  ...resource("blockIO/throttleReadIOPSDevice", [
    "create with blockIO.throttleReadIOPSDevice: the rate is kept within 20%",
  ]),
  ...resource("blockIO/throttleWriteIOPSDevice", [
    "create with blockIO.throttleWriteIOPSDevice: the rate is kept within 20%",
  ]),
  "/linux/resources/hugepageLimits": [
    "create with hugepageLimits: the limit holds",
    "create with hugepageLimits: the kernel refuses one page more",
    "create with hugepageLimits of 4 MiB, a mapping of 6 MiB: Cannot allocate memory",
  ],
  "/linux/resources/hugepageLimits/*/pageSize": [
    "create with hugepageLimits of {}: error that names it, nothing left",
  ],
  "/linux/resources/rdma/*/hcaHandles": [
    "create with rdma/mlx5_1/hcaHandles, no such controller: error that names both",
    "create with rdma, one handle: the kernel refuses a second",
  ],
  "/linux/resources/rdma/*/hcaObjects": [
    "create with rdma/mlx5_1/hcaObjects, no such controller: error that names both",
    "create and update with rdma: rdma.max is set",
  ],
  "/linux/resources/unified": [
    "create with unified: each line is written, after all other properties",
    "create with unified of a missing controller: error, nothing left",
    "create with unified of {}: error that names it, nothing left",
  ],
  ...versionOne(
    ...["memory/kernel", "memory/kernelTCP", "memory/swappiness", "memory/disableOOMKiller"],
    ...["cpu/realtimeRuntime", "cpu/realtimePeriod", "blockIO/leafWeight"],
    ...["network/classID", "network/priorities"],
  ),
  "/linux/resources/blockIO/weightDevice/*/leafWeight": [
    VERSION_ONE.replace("{}", "blockIO/weightDevice/0/leafWeight"),
  ],
};
