import { readFileSync } from "node:fs";
import { errnoNumber } from "../../../bindings/abi/errno.ts";
import { AT_FDCWD, S_IFDIR, S_IFREG, STATX_BASIC_STATS, STATX_TYPE } from "../../../bindings/abi/fcntl.ts";
import { statfs, statx } from "../../../bindings/abi/layouts.ts";
import { AF_NETLINK } from "../../../bindings/abi/socket.ts";
import { lstatSync } from "../../../bindings/linux/file-status.ts";
import { STUB_NAME, type StubChannel, type StubTap } from "../../../bindings/stub/client.ts";
import { decodeArguments } from "../../../bindings/stub/decode.ts";
import { guardHolds } from "../../../bindings/stub/guard.ts";
import {
  type Argument,
  isData,
  type Operation,
  type Program,
  pathOf,
  type Reply,
} from "../../../bindings/stub/program.ts";
import type { ContainerView } from "../../inspect/container-view.ts";
import { DEVPTS_SUPER_MAGIC } from "../../plan/process/console.ts";
import type { Names } from "../names.ts";
import { textOf } from "../native.ts";
import type { Recorder, Stage } from "../operation.ts";
import { RegisterNames } from "../register-names.ts";
import type { SimulatedKernel } from "./kernel.ts";

/** Device numbers of a terminal's master, which a stub sends to the runtime. pts(4) */
const PTMX = "5:2";

/** A process that runs programs, and its registers. */
interface Stub {
  readonly name: string;
  readonly registers: RegisterNames;
  readonly values: Map<number, number>;
}

/**
 * Records the operations of the programs that the runtime sends to its stubs, and answers as if all had succeeded. Where the runtime
 * decides by what a reply says about the container's files, the answer describes the files that the container will have.
 */
export class SimulatedStubs implements StubTap {
  readonly #names: Names;
  readonly #recorder: Recorder;
  readonly #kernel: SimulatedKernel;
  readonly #view: ContainerView;
  readonly #stubs = new Map<number, Stub>();
  /** Number of bytes that were read of the container's /etc/passwd. */
  #passwdRead = 0;
  /** Records what init does once `start` has connected. */
  #afterStart: (() => void) | undefined;

  constructor(names: Names, recorder: Recorder, kernel: SimulatedKernel, view: ContainerView) {
    this.#names = names;
    this.#recorder = recorder;
    this.#kernel = kernel;
    this.#view = view;
  }

  spawn(channel: number): number {
    this.#names.rename(channel, "the stub's channel");
    this.#serve(channel, "stub");
    this.#recorder.addOwn("posix_spawn", [JSON.stringify(STUB_NAME), String(channel)]);
    return this.#names.process("the stub");
  }

  /** Names the process that has the other end of the runtime's channel. */
  #serve(channel: number, name: string): void {
    const ours = this.#kernel.peers.get(channel);
    if (ours !== undefined)
      this.#stubs.set(ours, { name, registers: new RegisterNames(), values: new Map() });
  }

  sentAs(program: Program): Program {
    return program;
  }

  send(channel: StubChannel, program: Program): undefined {
    const stub = this.#stubOf(channel);
    for (const { fd, into } of program.descriptors) {
      const path = this.#kernel.pathOf(fd) ?? "";
      stub.registers.give(into.register, path === "" ? String(fd) : `fd of ${this.#names.inPath(path)}`);
    }
    const lines = new Lines(program, stub.registers);
    const waiting = program.operations.findIndex(({ call }) => call === "accept4");
    const cloning = program.operations.find(({ call }) => call === "clone3");
    const { stage } = this.#recorder;
    const record = (operation: Operation, at: Stage) => {
      if (operation.call === "store") return;
      this.#record(lines, operation, this.#actor(stub, operation, cloning, program), at);
    };
    const now = waiting < 0 ? program.operations : program.operations.slice(0, waiting + 1);
    for (const operation of now) record(operation, stage);
    if (waiting >= 0) {
      const later = program.operations.slice(waiting + 1);
      this.#afterStart = () => {
        for (const operation of later) record(operation, { step: 8 });
      };
    }
    if (cloning !== undefined) this.#clone(program, stage);
    return undefined;
  }

  /** `start` has connected to the socket that init listens on. */
  started(): void {
    this.#afterStart?.();
    this.#afterStart = undefined;
  }

  #stubOf(channel: StubChannel): Stub {
    const stub = this.#stubs.get(channel.descriptor);
    if (stub === undefined) throw new Error("a program for a stub that was not spawned");
    return stub;
  }

  #clone({ operations }: Program, { hook }: Stage): void {
    const channel = operations.find(({ call }) => call === "set-channel")?.args[0];
    if (typeof channel !== "number") return;
    const name = hook?.name ?? "init";
    this.#names.rename(channel, `${name}'s channel`);
    this.#serve(channel, name);
  }

  /** The process that runs an operation. After clone3 there are two, and a guard on its result selects one of them. */
  #actor(stub: Stub, operation: Operation, cloning: Operation | undefined, { operations }: Program): string {
    if (cloning === undefined || operations.indexOf(operation) <= operations.indexOf(cloning))
      return stub.name;
    const clone = this.#recorder.stage.hook?.name ?? "init";
    if (operation.guard?.on !== cloning.into) return `${stub.name} and ${clone}`;
    return operation.guard?.is === "zero" ? clone : stub.name;
  }

  #record(lines: Lines, operation: Operation, by: string, { step, hook }: Stage): void {
    const { call, guard, tolerate, pointer, purpose } = operation;
    const isOfClone = guard !== undefined && lines.isPid(guard.on.register);
    const condition = guard === undefined || isOfClone ? undefined : guard;
    const args = lines.args(operation);
    const result = lines.result(operation);
    this.#recorder.add(
      {
        by,
        pointer: hook?.pointer ?? pointer,
        purpose,
        call,
        args,
        ...(result !== undefined && { result }),
        ...(condition !== undefined && {
          if: { result: lines.name(condition.on.register), is: condition.is },
        }),
        ...(tolerate.length > 0 && { tolerates: tolerate }),
      },
      step,
    );
  }

  /** Returns a reply in which all operations have succeeded. */
  receive(channel: StubChannel, program: Program): Reply {
    const { name, values } = this.#stubOf(channel);
    const outputs = program.outputs.map(({ bytes }) => new Uint8Array(bytes.length));
    const output = (data: Argument | undefined) => {
      const index = isData(data) ? program.outputs.findIndex(({ bytes }) => bytes === data.bytes) : -1;
      return outputs[index] ?? new Uint8Array(4096);
    };
    for (const { fd, into } of program.descriptors) values.set(into.register, fd);
    const results = program.operations.map((operation) => {
      if (!guardHolds(operation, values)) return 0;
      const isClones = operation.call === "clone3" && name !== "stub";
      const result = isClones ? 0 : this.#result(operation, values, output);
      if (operation.call === "clone3" && !isClones) this.#enterCgroup(result, program);
      if (operation.into !== undefined) values.set(operation.into.register, result);
      return result;
    });
    return { results, outputs, failure: undefined };
  }

  /** Moves a clone into its cgroup: a program that clones has a cgroup's descriptor for CLONE_INTO_CGROUP only. */
  #enterCgroup(pid: number, { descriptors }: Program): void {
    const { files } = this.#kernel;
    const paths = descriptors.map(({ fd }) => this.#kernel.pathOf(fd) ?? "");
    const cgroup = paths.find((path) => files.isCgroup(path));
    if (cgroup !== undefined) files.enterCgroup(pid, cgroup);
  }

  #result(
    operation: Operation,
    values: ReadonlyMap<number, number>,
    output: (data: Argument | undefined) => Uint8Array,
  ): number {
    const { call, args, path } = operation;
    switch (call) {
      case "clone3":
        return this.#names.process(this.#recorder.stage.hook?.name ?? "init");
      case "socket":
        return args[0] === AF_NETLINK ? this.#kernel.networks.openInContainer() : 100;
      case "sendmsg":
        if (path === "the runtime" || this.#kernel.peers.has(valueIn(args[0], values)))
          this.#kernel.networks.handOver(() =>
            this.#kernel.open.add(operation.purpose, { kind: "device", content: PTMX }),
          );
        return 0;
      case "statx":
        if (args[0] === AT_FDCWD) return this.#lookAtProgram(pathIn(args[1]), output(args[4]));
        if (args[3] === STATX_TYPE) return this.#lookAtSource(operation, output(args[4]));
        return statusOnHost(path ?? "", output(args[4]));
      case "faccessat2":
        return this.#mayExecute(pathIn(args[1]));
      case "load":
        return loadFrom(args[0], output);
      case "getcwd":
        output(args[0]).set(new TextEncoder().encode("/"));
        return 2;
      case "fstatfs":
        new DataView(output(args[1]).buffer).setBigUint64(statfs.f_type, DEVPTS_SUPER_MAGIC, true);
        return 0;
      case "read":
        return this.#readPasswd(output(args[1]));
      case "getdents64":
        this.#recorder.notes.add(
          `${operation.pointer}: what tmpcopyup copies depends on the directory, and is not shown`,
        );
        return 0;
      default:
        return isMaking(call) ? 100 : 0;
    }
  }

  /** Answers the search for a program: 0 and the file's mode, or the error that it would get. */
  #lookAtProgram(path: string, output: Uint8Array): number {
    const seen = this.#view.look(path);
    if (seen.is === "missing") return -errnoNumber("ENOENT");
    const mode =
      seen.is === "there" ? seen.status.mode : seen.is === "made" ? S_IFDIR | 0o755 : S_IFREG | 0o755;
    if (seen.is === "unknown")
      this.#recorder.notes.add(`/process/args/0: whether ${path} is there can't be told from here`);
    new DataView(output.buffer).setUint16(statx.stx_mode, mode, true);
    return 0;
  }

  /** Answers whether a bind mount's source in an earlier mount of the config is a directory. */
  #lookAtSource({ path = "", pointer }: Operation, output: Uint8Array): number {
    const seen = this.#view.look(path);
    const isTold = seen.is === "there" || seen.is === "made";
    if (!isTold)
      this.#recorder.notes.add(
        `${pointer}: the type of ${path} is not known here: it is shown as a directory`,
      );
    const mode = seen.is === "there" ? seen.status.mode : S_IFDIR;
    new DataView(output.buffer).setUint16(statx.stx_mode, mode, true);
    return 0;
  }

  #mayExecute(path: string): number {
    const seen = this.#view.look(path);
    if (seen.is === "missing") return -errnoNumber("ENOENT");
    return seen.is !== "there" || (seen.status.mode & 0o111) !== 0 ? 0 : -errnoNumber("EACCES");
  }

  #readPasswd(output: Uint8Array): number {
    const seen = this.#view.look("/etc/passwd");
    if (seen.is !== "there" || !seen.status.isFile()) return 0;
    try {
      const content = readFileSync(seen.host).subarray(this.#passwdRead).subarray(0, output.length);
      output.set(content);
      this.#passwdRead += content.length;
      return content.length;
    } catch {
      return 0;
    }
  }
}

/** The operations of a program as text. */
class Lines {
  readonly #program: Program;
  readonly #registers: RegisterNames;
  readonly #stores = new Map<Uint8Array, Map<number, Argument>>();
  readonly #outputs: ReadonlySet<Uint8Array>;
  readonly #pids = new Set<number>();

  constructor(program: Program, registers: RegisterNames) {
    this.#program = program;
    this.#registers = registers;
    this.#outputs = new Set(program.outputs.map(({ bytes }) => bytes));
    for (const { call, args } of this.#program.operations) {
      const [target, value] = args;
      if (call !== "store" || !isData(target) || value === undefined) continue;
      const into = this.#stores.get(target.bytes) ?? new Map<number, Argument>();
      into.set(target.offset, value);
      this.#stores.set(target.bytes, into);
    }
  }

  args({ call, args }: Operation): string[] {
    return decodeArguments(call, args, {
      register: (register) => this.name(register),
      isOutput: ({ bytes }) => this.#outputs.has(bytes),
      storesInto: ({ bytes }) => this.#stores.get(bytes) ?? new Map(),
    });
  }

  result(operation: Operation): string | undefined {
    const { call, into } = operation;
    if (into === undefined) return undefined;
    if (call === "clone3") this.#pids.add(into.register);
    this.#registers.write(into.register, this.#resultName(operation), operation.guard !== undefined);
    return this.name(into.register);
  }

  #resultName(operation: Operation): string {
    const [source] = operation.args;
    if (operation.call !== "copy" || typeof source !== "object" || !("register" in source))
      return resultName(operation);
    return `${this.#registers.name(source.register)}, once there`;
  }

  name(register: number): string {
    return `<${this.#registers.name(register)}>`;
  }

  isPid(register: number): boolean {
    return this.#pids.has(register);
  }
}

function resultName(operation: Operation): string {
  const path = pathOf(operation);
  switch (operation.call) {
    case "clone3":
      return "pid";
    case "fsopen":
      return `new ${path}`;
    case "fsmount":
      return path === "" ? "new mount" : `mount of ${path}`;
    case "open_tree":
      return path === "" ? "copy" : `copy of ${path}`;
    case "openat":
    case "openat2":
      return `fd of ${path}`;
    case "landlock_create_ruleset":
      return path;
    case "load":
      return "mode";
    case "mount_setattr":
      // The kernel may have locked the flags of a bind mount.
      return path === "" ? "permission" : `${operation.call} ${path}`;
    default:
      return path === "" ? operation.call : `${operation.call} ${path}`;
  }
}

/** A path that is given as text, or as the bytes of a C string. */
function pathIn(argument: Argument | undefined): string {
  return isData(argument) ? textOf(argument.bytes) : String(argument);
}

/** Value of the register that an argument names; -1 for none. */
function valueIn(argument: Argument | undefined, values: ReadonlyMap<number, number>): number {
  return typeof argument === "object" && "register" in argument ? (values.get(argument.register) ?? -1) : -1;
}

/** Whether a successful call has a result other than 0. */
function isMaking(call: Operation["call"]): boolean {
  return /^(open|fsopen|fsmount|socket|keyctl|copy|dup3|accept4|mmap|fcntl|landlock_create)/.test(call);
}

function loadFrom(source: Argument | undefined, output: (data: Argument | undefined) => Uint8Array): number {
  if (!isData(source)) return 0;
  return new DataView(output(source).buffer).getUint16(source.offset, true);
}

/** Answers statx(2) with the host's device at a path. All files are on the mount that they were made on. */
function statusOnHost(path: string, output: Uint8Array): number {
  const view = new DataView(output.buffer);
  view.setBigUint64(statx.stx_mnt_id, 1n, true);
  try {
    const status = lstatSync(path);
    view.setUint32(statx.stx_mask, STATX_BASIC_STATS, true);
    view.setUint16(statx.stx_mode, status.mode, true);
    view.setUint32(statx.stx_uid, status.uid, true);
    view.setUint32(statx.stx_gid, status.gid, true);
    view.setUint32(statx.stx_rdev_major, (status.rdev >> 8) & 0xfff, true);
    view.setUint32(statx.stx_rdev_minor, (status.rdev & 0xff) | ((status.rdev >> 12) & 0xfff00), true);
  } catch {
    // The fields stay 0, which stx_mask says of them.
  }
  return 0;
}
