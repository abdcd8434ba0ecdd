import {
  BPF_MAP_TYPE_ARRAY,
  BPF_MAP_TYPE_CGROUP_ARRAY,
  BPF_MAP_TYPE_HASH,
  BPF_PROG_TYPE_RAW_TRACEPOINT,
} from "../../../../bindings/abi/bpf.ts";
import { O_DIRECTORY, O_RDONLY } from "../../../../bindings/abi/fcntl.ts";
import { numbers } from "../../../../bindings/ffi/syscall.ts";
import {
  createMap,
  keysOf,
  loadProgram,
  openRawTracepoint,
  readElement,
  updateElement,
} from "../../../../bindings/linux/bpf.ts";
import { openSync } from "../../../../bindings/linux/files.ts";
import type { Libseccomp } from "../../../../bindings/linux/libseccomp.ts";
import { OwnedDescriptor } from "../../../../bindings/linux/owned-descriptor.ts";
import { STUB_NAME } from "../../../../bindings/stub/client.ts";
import { architectures } from "../../../seccomp/constants.ts";
import { CallRecord, NUMBERS } from "../../../seccomp/record/call-record.ts";
import {
  assembleRecorder,
  CALLS_SIZE,
  LICENCE,
  LOST_VALUE,
  machines,
  OTHER_NUMBER,
  VALUE_KEY_SIZE,
} from "../../../seccomp/record/recorder-program.ts";
import { WATCHED_ARGUMENTS } from "../../../seccomp/record/watched-arguments.ts";

/** Room for the values of watched arguments. If a container passes more, its calls are recorded without. */
const MAX_VALUE_ENTRIES = 1024;

/** The only key of maps with one entry. */
const ZERO = 0;

/** Maps of a recording, open. */
export interface RecordedMaps {
  readonly calls: number;
  readonly values: number;
}

/**
 * A BPF program that records the system calls of a cgroup, and of those below it, until its descriptors are closed, and its maps. Until
 * `follow` it records nothing. Throws BpfError where the caller or the kernel can't have it: it needs CAP_BPF and CAP_PERFMON.
 */
export class BpfRecorder {
  readonly #descriptors: OwnedDescriptor[] = [];
  readonly #cgroup: number;
  readonly maps: RecordedMaps;
  /** The program at its tracepoint. */
  readonly link: number;

  constructor(library: Libseccomp) {
    try {
      this.#cgroup = this.#own(createMap(mapOf(BPF_MAP_TYPE_CGROUP_ARRAY, 4, 4, 1)));
      this.maps = {
        calls: this.#own(createMap(mapOf(BPF_MAP_TYPE_ARRAY, 4, CALLS_SIZE, 1))),
        values: this.#own(createMap(mapOf(BPF_MAP_TYPE_HASH, VALUE_KEY_SIZE, 4, MAX_VALUE_ENTRIES))),
      };
      const instructions = assembleRecorder({
        machine: process.arch === "arm64" ? machines.arm64 : machines.x64,
        maps: { ...this.maps, cgroup: this.#cgroup },
        stub: STUB_NAME,
        execve: numbers.execve,
        watched: watchedCalls(library),
      });
      const program = new OwnedDescriptor(loadProgram(BPF_PROG_TYPE_RAW_TRACEPOINT, instructions, LICENCE));
      try {
        this.link = this.#own(openRawTracepoint("sys_enter", program.number));
      } finally {
        program.close();
      }
    } catch (error) {
      this.close();
      throw error;
    }
  }

  #own(descriptor: number): number {
    this.#descriptors.push(new OwnedDescriptor(descriptor));
    return descriptor;
  }

  /** Records the calls of the cgroup from now on. `directory` is its path in cgroup v2. */
  follow(directory: string): void {
    const cgroup = new OwnedDescriptor(openSync(directory, O_RDONLY | O_DIRECTORY));
    try {
      updateElement(this.#cgroup, wordBytes(ZERO), wordBytes(cgroup.number));
    } finally {
      cgroup.close();
    }
  }

  close(): void {
    for (const descriptor of this.#descriptors) descriptor.close();
  }
}

/** What the maps of a recording hold by now. */
export function readRecord({ calls, values }: RecordedMaps): CallRecord {
  const record = new CallRecord();
  const made = new Uint8Array(new ArrayBuffer(CALLS_SIZE));
  readElement(calls, wordBytes(ZERO), made);
  kindsOfCalls().forEach((arch, kind) => {
    for (let number = 0; number < NUMBERS; number++)
      if (made[kind * NUMBERS + number] === 1) record.add(arch, number);
  });
  if (made[OTHER_NUMBER] === 1) record.noteOtherNumber();
  for (const key of keysOf(values, VALUE_KEY_SIZE, MAX_VALUE_ENTRIES)) {
    const view = new DataView(key.buffer);
    record.addValue(Number(view.getBigUint64(0, true)), view.getBigUint64(8, true));
  }
  if (made[LOST_VALUE] === 1) record.loseValues();
  return record;
}

/** SCMP_ARCH_* by the kinds of recorder-program.ts. */
function kindsOfCalls(): readonly number[] {
  const { SCMP_ARCH_X86_64, SCMP_ARCH_X86, SCMP_ARCH_X32, SCMP_ARCH_AARCH64, SCMP_ARCH_ARM } = architectures;
  const kinds =
    process.arch === "arm64"
      ? [SCMP_ARCH_AARCH64, SCMP_ARCH_ARM]
      : [SCMP_ARCH_X86_64, SCMP_ARCH_X86, SCMP_ARCH_X32];
  return kinds.filter((token) => token !== undefined);
}

function watchedCalls(library: Libseccomp) {
  const resolved = library.resolveSyscalls(library.nativeArch(), Object.keys(WATCHED_ARGUMENTS));
  return Object.values(WATCHED_ARGUMENTS)
    .map(({ index, mask }, place) => ({ number: resolved[place] ?? -1, index, mask }))
    .filter(({ number }) => number >= 0);
}

function mapOf(type: number, keySize: number, valueSize: number, maxEntries: number) {
  return { type, keySize, valueSize, maxEntries };
}

/** A u32 in its own buffer, whose address the kernel can be given. */
function wordBytes(value: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(value).buffer);
}
