import {
  AT_FDCWD,
  AT_RECURSIVE,
  AT_SYMLINK_NOFOLLOW,
  O_CLOEXEC,
  O_DIRECTORY,
  O_PATH,
} from "../../bindings/abi/fcntl.ts";
import { MS_PRIVATE, OPEN_TREE_CLOEXEC, OPEN_TREE_CLONE } from "../../bindings/abi/mount.ts";
import { CLONE_NEWNS } from "../../bindings/abi/sched.ts";
import { closeSync, readFileSync } from "../../bindings/linux/files.ts";
import { OwnedDescriptor } from "../../bindings/linux/owned-descriptor.ts";
import { receiveDescriptor } from "../../bindings/linux/receive-descriptor.ts";
import { channelPair, type StubChannel } from "../../bindings/stub/client.ts";
import type { Program, Register } from "../../bindings/stub/program.ts";
import { RuntsError } from "../errors.ts";
import type { InitPlan } from "../plan/init-plan.ts";
import { type DeviceNode, listedDevices, modeOf, numberOf } from "../plan/mounts/devices.ts";
import { newMount } from "../plan/mounts/new-mount.ts";
import { parseMountOptions } from "../plan/mounts/options.ts";
import { devIsBound, type MountRequest } from "../plan/mounts/requests.ts";
import { contextOption } from "../plan/process/labels.ts";
import { attach } from "../plan/rootfs-paths.ts";
import { sendDescriptor } from "../plan/send-descriptor.ts";
import { MOUNT_ATTR_SIZE, mountAttr } from "../plan/structs.ts";
import { outerId, parseIdMap } from "../spec/id-map.ts";
import type { IdMapping } from "../spec/types.ts";
import { type HandOver, handOver } from "./hand-over.ts";
import { runProgram } from "./run-program.ts";
import { withStub } from "./with-stub.ts";

/**
 * Makes the devices that a config lists, for a container in a user namespace: mknod(2) asks for CAP_MKNOD in the first user namespace,
 * which init no longer has. A stub with the caller's rights makes them on a tmpfs, in a mount namespace that ends with it. For each node it
 * makes a mount of the node alone, so that the container can't reach the rest of a file system on which devices work. Returns these
 * mounts by the pointers of the devices; none if the caller may not make devices.
 */
export function prepareDeviceNodes(
  program: Program,
  plan: InitPlan,
  requests: readonly MountRequest[],
  { pid, opened }: HandOver,
): ReadonlyMap<string, Register> {
  const nodes = new Map<string, Register>();
  if (devIsBound(requests)) return nodes;
  const wanted = listedDevices(plan.config).filter(({ type }) => type !== "p");
  const owned = wanted.map((node) => ({ node, owner: ownerOf(node, plan, pid) }));
  const [receiving, sending] = channelPair();
  try {
    withStub((channel) => {
      const place = makePlace(channel, plan);
      if (place === undefined) return;
      for (const { node, owner } of owned) {
        const made = makeNode(channel, place, node, owner);
        if (made === undefined) return;
        const handing = channel.program();
        handing.about(node.pointer, `hand over device ${node.path}`);
        const socket = handing.descriptor(sending);
        sendDescriptor(handing, made, { socket, text: "device", path: "the runtime" });
        runProgram(channel, handing);
        const mount = new OwnedDescriptor(receiveDescriptor(receiving));
        opened.push(mount);
        nodes.set(node.pointer, handOver(program, plan, mount.number));
      }
    });
  } finally {
    for (const fd of [receiving, sending]) closeSync(fd);
  }
  return nodes;
}

interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** Returns the owner's ids on the host. Without ids in the config the owner is the container's root, or the host's if that is not mapped. */
function ownerOf({ uid, gid, pointer }: DeviceNode, plan: InitPlan, pid: number): Owner {
  const { uidMappings = [], gidMappings = [] } = plan.config.linux ?? {};
  const isJoined = plan.namespaces.joined.has("user");
  // A joined namespace has its own mappings; the config need not list them.
  const uids = isJoined ? mapOf(pid, "uid_map") : uidMappings;
  const gids = isJoined ? mapOf(pid, "gid_map") : gidMappings;
  return { uid: onHost(uid, uids, `${pointer}/uid`), gid: onHost(gid, gids, `${pointer}/gid`) };
}

function mapOf(pid: number, file: "uid_map" | "gid_map"): IdMapping[] {
  return parseIdMap(readFileSync(`/proc/${pid}/${file}`, "latin1"));
}

function onHost(id: number | undefined, mappings: readonly IdMapping[], pointer: string): number {
  const outside = outerId(id ?? 0, mappings);
  if (outside !== undefined) return outside;
  if (id === undefined) return 0;
  throw new RuntsError(`${pointer}: ${id} is not in the mappings of the user namespace`, { pointer });
}

/** Mounts a tmpfs that nobody else sees. It needs a mount namespace: before Linux 6.15, open_tree(2) copies no detached mount. */
function makePlace(channel: StubChannel, plan: InitPlan): Register | undefined {
  const entering = channel.program();
  entering.about("/linux/devices", "make a mount namespace to make devices in");
  entering.do("unshare", [CLONE_NEWNS], { tolerate: ["EPERM"] });
  if ((runProgram(channel, entering).results[0] ?? -1) < 0) return undefined;
  const program = channel.program();
  program.about("/linux/devices", "make a file system to make devices on");
  program.do("umask", [0]);
  const isPrivate = mountAttr({ propagation: MS_PRIVATE });
  program.do("mount_setattr", [AT_FDCWD, "/", AT_RECURSIVE, isPrivate, MOUNT_ATTR_SIZE], { path: "/" });
  const options = parseMountOptions(["mode=700", "nosuid", "noexec"]);
  const wanted = { type: "tmpfs", source: "tmpfs", options, writable: true, context: contextOption(plan) };
  const { mount } = newMount(program, wanted);
  const root = program.call("openat", [AT_FDCWD, "/", O_PATH | O_DIRECTORY | O_CLOEXEC, 0]);
  attach(program, mount, root, { path: "/" });
  runProgram(channel, program);
  return mount;
}

/** Makes a node, and a detached mount of it; undefined if the kernel forbids making devices, as the device rules of a cgroup may. */
function makeNode(
  channel: StubChannel,
  place: Register,
  node: DeviceNode,
  { uid, gid }: Owner,
): Register | undefined {
  const { path, pointer } = node;
  const name = pointer.slice(pointer.lastIndexOf("/") + 1);
  const program = channel.program();
  program.about(pointer, `make device ${path}`);
  const made = program.call("mknodat", [place, name, modeOf(node), numberOf(node)], {
    path,
    tolerate: ["EPERM"],
  });
  const guard = { if: [made, "ok"], path } as const;
  program.do("fchownat", [place, name, uid, gid, AT_SYMLINK_NOFOLLOW], guard);
  const flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW;
  const mount = program.call("open_tree", [place, name, flags], guard);
  return (runProgram(channel, program).results[0] ?? -1) < 0 ? undefined : mount;
}
