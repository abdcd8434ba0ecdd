/**
 * The config.json of a Linux container: runtime-spec 1.3, config.md and config-linux.md. Names are those of the file. Fields that the spec
 * types as int64 or uint64 are bigints. A new field has to be added to config-schema.json too.
 */
export interface Config {
  readonly ociVersion: string;
  readonly root: Root;
  /** Only `start` requires it (config.md, Process). */
  readonly process?: Process;
  readonly hostname?: string;
  readonly domainname?: string;
  readonly mounts?: readonly Mount[];
  readonly hooks?: Hooks;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly linux?: Linux;
}

export interface Root {
  readonly path: string;
  readonly readonly?: boolean;
}

export interface Process {
  readonly terminal?: boolean;
  readonly consoleSize?: ConsoleSize;
  readonly cwd: string;
  readonly env?: readonly string[];
  readonly args: readonly string[];
  readonly user?: User;
  readonly capabilities?: Capabilities;
  readonly rlimits?: readonly Rlimit[];
  readonly noNewPrivileges?: boolean;
  readonly oomScoreAdj?: number;
  readonly apparmorProfile?: string;
  readonly selinuxLabel?: string;
  readonly scheduler?: Scheduler;
  readonly ioPriority?: IoPriority;
  readonly execCPUAffinity?: ExecCpuAffinity;
}

/** In characters. */
export interface ConsoleSize {
  readonly height: number;
  readonly width: number;
}

export interface User {
  readonly uid?: number;
  readonly gid?: number;
  readonly umask?: number;
  readonly additionalGids?: readonly number[];
}

export interface Capabilities {
  readonly bounding?: readonly string[];
  readonly effective?: readonly string[];
  readonly inheritable?: readonly string[];
  readonly permitted?: readonly string[];
  readonly ambient?: readonly string[];
}

export type RlimitType =
  | "RLIMIT_AS"
  | "RLIMIT_CORE"
  | "RLIMIT_CPU"
  | "RLIMIT_DATA"
  | "RLIMIT_FSIZE"
  | "RLIMIT_LOCKS"
  | "RLIMIT_MEMLOCK"
  | "RLIMIT_MSGQUEUE"
  | "RLIMIT_NICE"
  | "RLIMIT_NOFILE"
  | "RLIMIT_NPROC"
  | "RLIMIT_RSS"
  | "RLIMIT_RTPRIO"
  | "RLIMIT_RTTIME"
  | "RLIMIT_SIGPENDING"
  | "RLIMIT_STACK";

/** getrlimit(2). 2^64 - 1 is unlimited. */
export interface Rlimit {
  readonly type: RlimitType;
  readonly soft: bigint;
  readonly hard: bigint;
}

export interface Scheduler {
  readonly policy:
    | "SCHED_OTHER"
    | "SCHED_FIFO"
    | "SCHED_RR"
    | "SCHED_BATCH"
    | "SCHED_ISO"
    | "SCHED_IDLE"
    | "SCHED_DEADLINE";
  readonly nice?: number;
  readonly priority?: number;
  readonly flags?: readonly string[];
  /** Nanoseconds, as are `deadline` and `period`: sched(7), SCHED_DEADLINE. */
  readonly runtime?: bigint;
  readonly deadline?: bigint;
  readonly period?: bigint;
}

export interface IoPriority {
  readonly class: "IOPRIO_CLASS_RT" | "IOPRIO_CLASS_BE" | "IOPRIO_CLASS_IDLE";
  readonly priority: number;
}

/** Lists of CPUs such as "0-3,7". */
export interface ExecCpuAffinity {
  readonly initial?: string;
  readonly final?: string;
}

/** Maps `size` ids from `containerID` on to those from `hostID` on. */
export interface IdMapping {
  readonly containerID: number;
  readonly hostID: number;
  readonly size: number;
}

export interface Mount {
  readonly destination: string;
  readonly source?: string;
  readonly type?: string;
  readonly options?: readonly string[];
  readonly uidMappings?: readonly IdMapping[];
  readonly gidMappings?: readonly IdMapping[];
}

export interface Hook {
  readonly path: string;
  readonly args?: readonly string[];
  readonly env?: readonly string[];
  /** Seconds. */
  readonly timeout?: number;
}

export interface Hooks {
  readonly prestart?: readonly Hook[];
  readonly createRuntime?: readonly Hook[];
  readonly createContainer?: readonly Hook[];
  readonly startContainer?: readonly Hook[];
  readonly poststart?: readonly Hook[];
  readonly poststop?: readonly Hook[];
}

export type NamespaceType = "cgroup" | "ipc" | "mount" | "network" | "pid" | "time" | "user" | "uts";

export interface Namespace {
  readonly type: NamespaceType;
  /** The namespace to join. A new one is created if it is absent or empty. */
  readonly path?: string;
}

export type RootfsPropagation =
  | ""
  | "private"
  | "rprivate"
  | "shared"
  | "rshared"
  | "slave"
  | "rslave"
  | "unbindable"
  | "runbindable";

export interface Linux {
  readonly namespaces?: readonly Namespace[];
  readonly uidMappings?: readonly IdMapping[];
  readonly gidMappings?: readonly IdMapping[];
  readonly timeOffsets?: TimeOffsets;
  readonly devices?: readonly Device[];
  readonly netDevices?: Readonly<Record<string, NetDevice>>;
  readonly cgroupsPath?: string;
  readonly resources?: LinuxResources;
  readonly intelRdt?: IntelRdt;
  readonly memoryPolicy?: MemoryPolicy;
  readonly sysctl?: Readonly<Record<string, string>>;
  readonly seccomp?: Seccomp;
  readonly rootfsPropagation?: RootfsPropagation;
  readonly maskedPaths?: readonly string[];
  readonly readonlyPaths?: readonly string[];
  readonly mountLabel?: string;
  readonly personality?: Personality;
}

export interface TimeOffset {
  readonly secs?: bigint;
  readonly nanosecs?: number;
}

export interface TimeOffsets {
  readonly boottime?: TimeOffset;
  readonly monotonic?: TimeOffset;
}

export interface Device {
  readonly type: "c" | "b" | "u" | "p";
  readonly path: string;
  readonly major?: bigint;
  readonly minor?: bigint;
  /** May include the file type (S_IFMT), which engines do not mask out. */
  readonly fileMode?: number;
  readonly uid?: number;
  readonly gid?: number;
}

export interface NetDevice {
  readonly name?: string;
}

export interface LinuxResources {
  readonly devices?: readonly DeviceRule[];
  readonly memory?: Memory;
  readonly cpu?: Cpu;
  readonly pids?: Pids;
  readonly blockIO?: BlockIo;
  readonly hugepageLimits?: readonly HugepageLimit[];
  readonly network?: NetworkResources;
  readonly rdma?: Readonly<Record<string, Rdma>>;
  readonly unified?: Readonly<Record<string, string>>;
}

export interface DeviceRule {
  readonly allow: boolean;
  /** Absent, empty or "a": all types. */
  readonly type?: "" | "a" | "b" | "c";
  readonly major?: bigint;
  readonly minor?: bigint;
  readonly access?: string;
}

/** Limits are bytes. -1 is unlimited, 0 is unset. */
export interface Memory {
  readonly limit?: bigint;
  readonly reservation?: bigint;
  /** Memory and swap together. */
  readonly swap?: bigint;
  readonly kernel?: bigint;
  readonly kernelTCP?: bigint;
  readonly swappiness?: bigint;
  readonly disableOOMKiller?: boolean;
  readonly useHierarchy?: boolean;
  readonly checkBeforeUpdate?: boolean;
}

/** Times are microseconds; 0 is unset. */
export interface Cpu {
  readonly shares?: bigint;
  readonly quota?: bigint;
  readonly burst?: bigint;
  readonly period?: bigint;
  readonly realtimeRuntime?: bigint;
  readonly realtimePeriod?: bigint;
  readonly cpus?: string;
  readonly mems?: string;
  readonly idle?: bigint;
}

export interface Pids {
  /** A negative number is unlimited. */
  readonly limit?: bigint;
}

export interface WeightDevice {
  readonly major: bigint;
  readonly minor: bigint;
  readonly weight?: number;
  readonly leafWeight?: number;
}

export interface ThrottleDevice {
  readonly major: bigint;
  readonly minor: bigint;
  /** Bytes or operations per second; 0 is unlimited. */
  readonly rate: bigint;
}

export interface BlockIo {
  readonly weight?: number;
  readonly leafWeight?: number;
  readonly weightDevice?: readonly WeightDevice[];
  readonly throttleReadBpsDevice?: readonly ThrottleDevice[];
  readonly throttleWriteBpsDevice?: readonly ThrottleDevice[];
  readonly throttleReadIOPSDevice?: readonly ThrottleDevice[];
  readonly throttleWriteIOPSDevice?: readonly ThrottleDevice[];
}

export interface HugepageLimit {
  /** Such as "2MB". */
  readonly pageSize: string;
  /** Bytes; 2^64 - 1 is unlimited. */
  readonly limit: bigint;
}

export interface NetworkResources {
  readonly classID?: number;
  readonly priorities?: readonly InterfacePriority[];
}

export interface InterfacePriority {
  readonly name: string;
  readonly priority: number;
}

export interface Rdma {
  readonly hcaHandles?: number;
  readonly hcaObjects?: number;
}

export interface IntelRdt {
  readonly closID?: string;
  readonly schemata?: readonly string[];
  readonly l3CacheSchema?: string;
  readonly memBwSchema?: string;
  readonly enableMonitoring?: boolean;
}

export interface MemoryPolicy {
  readonly mode:
    | "MPOL_DEFAULT"
    | "MPOL_BIND"
    | "MPOL_INTERLEAVE"
    | "MPOL_WEIGHTED_INTERLEAVE"
    | "MPOL_PREFERRED"
    | "MPOL_PREFERRED_MANY"
    | "MPOL_LOCAL";
  readonly nodes?: string;
  readonly flags?: readonly string[];
}

export interface Personality {
  readonly domain: "LINUX" | "LINUX32";
  readonly flags?: readonly string[];
}

export type SeccompAction =
  | "SCMP_ACT_ALLOW"
  | "SCMP_ACT_ERRNO"
  | "SCMP_ACT_KILL"
  | "SCMP_ACT_KILL_PROCESS"
  | "SCMP_ACT_KILL_THREAD"
  | "SCMP_ACT_TRAP"
  | "SCMP_ACT_TRACE"
  | "SCMP_ACT_LOG"
  | "SCMP_ACT_NOTIFY";

export interface Seccomp {
  readonly defaultAction: SeccompAction;
  readonly defaultErrnoRet?: number;
  readonly architectures?: readonly string[];
  readonly flags?: readonly SeccompFlag[];
  readonly listenerPath?: string;
  readonly listenerMetadata?: string;
  readonly syscalls?: readonly SeccompSyscall[];
}

export type SeccompFlag =
  | "SECCOMP_FILTER_FLAG_TSYNC"
  | "SECCOMP_FILTER_FLAG_LOG"
  | "SECCOMP_FILTER_FLAG_SPEC_ALLOW"
  | "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV";

export interface SeccompSyscall {
  readonly names: readonly string[];
  readonly action: SeccompAction;
  readonly errnoRet?: number;
  readonly args?: readonly SeccompArg[];
}

export interface SeccompArg {
  readonly index: number;
  readonly value: bigint;
  readonly valueTwo?: bigint;
  readonly op:
    | "SCMP_CMP_NE"
    | "SCMP_CMP_LT"
    | "SCMP_CMP_LE"
    | "SCMP_CMP_EQ"
    | "SCMP_CMP_GE"
    | "SCMP_CMP_GT"
    | "SCMP_CMP_MASKED_EQ";
}
