import { withPurpose } from "../../../../bindings/ffi/purpose.ts";
import { BpfError } from "../../../../bindings/linux/bpf.ts";
import type { Libseccomp } from "../../../../bindings/linux/libseccomp.ts";
import { RuntsError } from "../../../errors.ts";
import { loadLibseccomp } from "../../../seccomp/compile.ts";
import { notifyingProfile } from "../../../seccomp/record/notifying-profile.ts";
import type { Config } from "../../../spec/types.ts";
import type { CreateOptions, GlobalOptions, RecordOptions } from "../../context.ts";
import { type Created, createLocked } from "../../create.ts";
import { deleteContainer } from "../../delete.ts";
import { containerDirectory, writeState } from "../../record/saved-state.ts";
import { BpfRecorder, readRecord } from "./bpf-recorder.ts";
import { holdRecorder } from "./holder.ts";
import { NotifyRecorder } from "./notify-recorder.ts";
import { checkProfileFile, writeProfileFile } from "./profile-file.ts";

/**
 * `--seccomp-record`: records the system calls of a container as a seccomp profile. The kernel does so by a BPF program, or else asks the
 * runtime about each call (seccomp_unotify(2)), which is slow and needs a runtime in the foreground.
 */
export class Recording {
  readonly #context: GlobalOptions;
  readonly #options: RecordOptions;
  readonly #by: BpfRecorder | NotifyRecorder;
  readonly #native: number;
  #noNewPrivileges = false;
  /** Whether the profile is written by `delete`. */
  #isHeld = false;

  /** Nothing is made yet but the recorder: throws if the file can't be written, or if there is no way to record. */
  constructor(context: GlobalOptions, options: RecordOptions, isForeground: boolean) {
    this.#context = context;
    this.#options = options;
    withPurpose("", "prepare the seccomp profile", () => checkProfileFile(options));
    const library = loadLibseccomp();
    this.#native = library.nativeArch();
    this.#by = withPurpose("", "record system calls", () =>
      openRecorder(context, options, isForeground, library),
    );
  }

  /** The config that the container is made with: with another filter if its calls are notified. */
  readonly changeConfig = (config: Config): Config => {
    const { linux, process } = config;
    this.#noNewPrivileges = process?.noNewPrivileges === true;
    if (this.#by instanceof BpfRecorder) return config;
    return { ...config, linux: { ...linux, seccomp: notifyingProfile(linux?.seccomp, this.#native) } };
  };

  /** Answers the notifications of the container's filter, if that is how its calls are recorded. */
  get agent(): NotifyRecorder | undefined {
    return this.#by instanceof NotifyRecorder ? this.#by : undefined;
  }

  /** Begins to record a container that was made a moment ago, and waits for `start`. */
  follow({ state }: Created): void {
    const recorder = this.#by;
    if (recorder instanceof NotifyRecorder) return;
    if (state.cgroup === "") {
      const message = "--seccomp-record: the container has no cgroup, by which BPF knows its processes";
      throw new RuntsError(message, { operation: "seccomp-record", path: state.id });
    }
    withPurpose("", "record system calls", () => recorder.follow(state.cgroup));
  }

  /** Begins to record a container that outlives this process: `delete` writes the profile. Returns the container with its changed record. */
  hold(created: Created): Created {
    const recorder = this.#by;
    this.follow(created);
    if (recorder instanceof NotifyRecorder) return created;
    const directory = containerDirectory(this.#context.root, created.state.id);
    const { file, merge } = this.#options;
    const holder = withPurpose("", "record system calls", () => holdRecorder(recorder, directory));
    const saved = { ...holder, file, merge, noNewPrivileges: this.#noNewPrivileges };
    const state = { ...created.state, recorder: saved };
    writeState(directory, state);
    this.#isHeld = true;
    return { ...created, state };
  }

  /** Writes the profile, unless `delete` will. The container's processes must have ended, and those of `exec`. */
  finish(): void {
    if (this.#isHeld) return;
    const record = this.#by instanceof BpfRecorder ? readRecord(this.#by.maps) : this.#by.record;
    const warn = (message: string) => this.#context.log.warn(message);
    withPurpose("", "write the seccomp profile", () =>
      writeProfileFile(this.#options, record, this.#noNewPrivileges, warn),
    );
  }

  close(): void {
    this.#by.close();
  }
}

/** `create --seccomp-record`: creates a container whose system calls are recorded until it is deleted. */
export function createRecorded(context: GlobalOptions, options: CreateOptions, record: RecordOptions): void {
  const recording = new Recording(context, record, false);
  try {
    const created = createLocked(context, { ...options, changeConfig: recording.changeConfig });
    try {
      recording.hold(created);
    } catch (error) {
      created.lock?.release();
      deleteContainer(context, options.id, { force: true, only: created.state });
      throw error;
    }
    created.lock?.release();
  } finally {
    recording.close();
  }
}

function openRecorder(
  context: GlobalOptions,
  { by }: RecordOptions,
  isForeground: boolean,
  library: Libseccomp,
): BpfRecorder | NotifyRecorder {
  let reason = "";
  if (by !== "notify") {
    try {
      if (context.noCgroup !== true) return new BpfRecorder(library);
      reason = "the container has no cgroup, by which BPF knows its processes";
    } catch (error) {
      if (!(error instanceof BpfError)) throw error;
      reason = `${error.message}: it needs CAP_BPF and CAP_PERFMON, or CAP_SYS_ADMIN`;
    }
    if (by === "bpf") throw cannotRecord(`--seccomp-record-by bpf: ${reason}`);
  }
  if (!isForeground) {
    const why = reason === "" ? "--seccomp-record-by notify" : `--seccomp-record: ${reason}; notifications`;
    throw cannotRecord(`${why} can be used by \`run\` in the foreground only`);
  }
  if (reason !== "")
    context.log.warn(
      `--seccomp-record: each system call waits for the runtime, since BPF can't be used: ${reason}`,
    );
  return new NotifyRecorder(library);
}

function cannotRecord(message: string): RuntsError {
  return new RuntsError(message, { operation: "seccomp-record" });
}
