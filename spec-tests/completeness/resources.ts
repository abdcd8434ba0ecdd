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
  "/linux/resources/devices/*/type=b": ["devices with the disk for reading: it can be read, not written"],
  "/linux/resources/devices/*/type=c": ["devices deny all, then one allowed: it opens"],
  "/linux/resources/devices/*/access": ["devices allowed for writing only: reading fails"],
  ...resource("memory/limit", [
    "memory.limit, more is allocated: killed, as exit code and memory.events say",
  ]),
  ...resource("memory/reservation", ["update --memory-swap, --memory-reservation and -1: converted"]),
  ...resource("memory/swap", [
    "memory.limit, swap to spare: what does not fit is swapped out",
    'update --resources "{}": error',
  ]),
  "/linux/resources/memory/useHierarchy": ['run with {"memory":{"kernel":-1…'],
  "/linux/resources/memory/checkBeforeUpdate": [
    "update with a memory.limit below the usage and checkBeforeUpdate: refused",
  ],
  ...resource("cpu/shares", [
    "cpu.shares, two busy loops: the heavier gets more",
    'create with cpu {"shares":1024}…',
  ]),
  ...resource("cpu/quota", ["cpu.quota, a busy loop: it gets its quota", 'create with cpu {"quota":50000}…']),
  "/linux/resources/cpu/period": ['create with cpu {"period":200000}…'],
  ...resource("cpu/burst", ['create with cpu {"quota":50000,"period":200000,"burst":20000}…']),
  ...resource("cpu/idle", ['create with cpu {"idle":1}…']),
  ...resource("cpu/cpus", [
    "cpu.cpus and cpu.mems: the program gets these alone",
    'create with cpu.cpus "7", which there is not: error that names it',
  ]),
  ...resource("cpu/mems", [
    "cpu.cpus and cpu.mems: the program gets these alone",
    'create with cpu.mems "7", which there is not: error that names it',
  ]),
  ...resource("pids/limit", [
    "pids.limit, a fork bomb: it stops there",
    "pids.limit 0: nothing can be forked",
  ]),
  ...resource("blockIO/weight", ["blockIO.weight where there is BFQ: io.bfq.weight as it is"]),
  ...resource("blockIO/weightDevice", ["blockIO.weight and weightDevice: io.weight, on its own scale"]),
  ...resource("blockIO/throttleReadBpsDevice", [
    "blockIO.throttleReadBpsDevice, six times as much: its rate within 20%",
  ]),
  ...resource("blockIO/throttleWriteBpsDevice", [
    "blockIO.throttleWriteBpsDevice, six times as much: its rate within 20%",
  ]),
  ...resource("blockIO/throttleReadIOPSDevice", [
    "blockIO.throttleReadIOPSDevice, six times as much: its rate within 20%",
  ]),
  ...resource("blockIO/throttleWriteIOPSDevice", [
    "blockIO.throttleWriteIOPSDevice, six times as much: its rate within 20%",
  ]),
  "/linux/resources/hugepageLimits": [
    "create with hugepageLimits: the limit holds",
    "hugepageLimits, one page more: refused by the kernel",
    "hugepageLimits of 4 MiB, a mapping of 6 MiB: Cannot allocate memory",
  ],
  "/linux/resources/hugepageLimits/*/pageSize": [
    "create with hugepageLimits of {}: error that names it, nothing left",
  ],
  "/linux/resources/rdma/*/hcaHandles": [
    "create with rdma/mlx5_1/hcaHandles, no such controller: error that names both",
    "rdma with one handle: a second is refused by the kernel",
  ],
  "/linux/resources/rdma/*/hcaObjects": [
    "create with rdma/mlx5_1/hcaObjects, no such controller: error that names both",
    "rdma and update of it: rdma.max",
  ],
  "/linux/resources/unified": [
    "unified: each line of each value is written, last",
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
