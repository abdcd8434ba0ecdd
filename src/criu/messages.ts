import { Decoded, encodeMessage, type Message } from "./protobuf.ts";

/** The used part of criu's rpc.proto, with its names and numbers. Requires criu 3.0, of 2017. */

const REQUEST_TYPES = {
  DUMP: 1,
  RESTORE: 2,
  PRE_DUMP: 4,
  NOTIFY: 6,
  FEATURE_CHECK: 9,
  VERSION: 10,
} as const;

export type RequestType = keyof typeof REQUEST_TYPES;

const RESPONSE_TYPES = ["DUMP", "RESTORE", "PRE_DUMP", "NOTIFY", "FEATURE_CHECK", "VERSION"] as const;

/** criu_cg_mode. `""` leaves the choice to criu, which takes soft. */
const CGROUP_MODES = { ignore: 0, soft: 3, full: 4, strict: 5, "": 6 } as const;

export type CgroupMode = keyof typeof CGROUP_MODES;

/** criu_network_lock_method */
const NETWORK_LOCKS = { iptables: 1, nftables: 2, skip: 3 } as const;

export type NetworkLock = keyof typeof NETWORK_LOCKS;

/** criu_opts. Absent options have criu's defaults. */
export interface CriuOptions {
  readonly imagesDirectory: number;
  readonly workDirectory?: number;
  readonly logFile: string;
  readonly root: string;
  readonly pid?: number;
  readonly leaveRunning?: boolean;
  readonly extUnixSk: boolean;
  readonly tcpEstablished: boolean;
  readonly tcpSkipInFlight?: boolean;
  readonly tcpClose?: boolean;
  readonly evasiveDevices?: boolean;
  readonly shellJob: boolean;
  readonly fileLocks: boolean;
  readonly linkRemap?: boolean;
  readonly pageServer?: { readonly address: string; readonly port: number };
  readonly parentImage?: string;
  readonly trackMemory?: boolean;
  readonly autoDedup: boolean;
  readonly lazyPages: boolean;
  readonly statusFd?: number;
  readonly cgroupMode: CgroupMode;
  readonly cgroupRoots?: readonly { readonly controller: string; readonly path: string }[];
  /** Only these controllers are saved; all by default. */
  readonly cgroupControllers?: readonly string[];
  readonly freezeCgroup?: string;
  readonly restoreSibling?: boolean;
  readonly inheritFds?: readonly { readonly key: string; readonly fd: number }[];
  readonly external: readonly string[];
  readonly emptyNamespaces: number;
  readonly joinNamespaces?: readonly { readonly type: string; readonly path: string }[];
  readonly configFile?: string;
  readonly lsmProfile?: string;
  readonly lsmMountContext?: string;
  readonly networkLock?: NetworkLock;
}

/** The highest level: everything is logged. */
const LOG_LEVEL = 4;

export function optionsMessage(options: CriuOptions): Message {
  const { pageServer, networkLock } = options;
  return {
    1: options.imagesDirectory,
    2: options.pid,
    3: options.leaveRunning,
    4: options.extUnixSk,
    5: options.tcpEstablished,
    6: options.evasiveDevices,
    7: options.shellJob,
    8: options.fileLocks,
    9: LOG_LEVEL,
    10: options.logFile,
    11: pageServer && { 1: pageServer.address, 2: pageServer.port },
    12: true, // notify_scripts
    13: options.root,
    14: options.parentImage,
    15: options.trackMemory,
    16: options.autoDedup,
    17: options.workDirectory,
    18: options.linkRemap,
    24: true, // manage_cgroups, instead of the mode before criu 2.0
    25: options.cgroupRoots?.map(({ controller, path }) => ({ 1: controller, 2: path })),
    26: options.restoreSibling,
    27: options.inheritFds?.map(({ key, fd }) => ({ 1: key, 2: fd })),
    34: CGROUP_MODES[options.cgroupMode],
    37: options.external,
    38: options.emptyNamespaces,
    39: options.joinNamespaces?.map(({ type, path }) => ({ 1: type, 2: path })),
    43: options.cgroupControllers,
    44: options.freezeCgroup,
    46: options.tcpSkipInFlight,
    48: options.lazyPages,
    49: options.statusFd,
    50: true, // orphan_pts_master
    51: options.configFile,
    52: options.tcpClose,
    53: options.lsmProfile,
    63: options.lsmMountContext,
    64: networkLock && NETWORK_LOCKS[networkLock],
  };
}

/** criu_features */
const FEATURES = { memTrack: 1, lazyPages: 2 } as const;

export type Feature = keyof typeof FEATURES;

const FEATURE_NAMES = ["memTrack", "lazyPages"] as const;

/** criu_req. With keepOpen, more requests may follow on the same connection. */
export interface CriuRequest {
  readonly type: RequestType;
  readonly options?: CriuOptions;
  readonly notifySuccess?: boolean;
  readonly keepOpen?: boolean;
  readonly features?: readonly Feature[];
}

export function encodeRequest(request: CriuRequest): Uint8Array {
  const { type, options, features } = request;
  return encodeMessage({
    1: REQUEST_TYPES[type],
    2: options && optionsMessage(options),
    3: request.notifySuccess,
    4: request.keepOpen,
    5: features && Object.fromEntries(features.map((feature) => [FEATURES[feature], true])),
  });
}

/** criu_resp */
export interface CriuResponse {
  /** Undefined for a type that is not in the table, as criu returns for an unknown request. */
  readonly type: RequestType | undefined;
  readonly success: boolean;
  /** The errno of a failure, 0 if there is none. */
  readonly errno: number;
  /** The first error of criu's log, since criu 3.10; otherwise empty. */
  readonly message: string;
  readonly notify: { readonly script: string; readonly pid: number } | undefined;
  readonly restoredPid: number | undefined;
  readonly features: ReadonlySet<Feature>;
  readonly version: CriuVersion | undefined;
}

export interface CriuVersion {
  /** 40101 for 4.1.1. */
  readonly number: number;
  readonly text: string;
}

export function decodeResponse(bytes: Uint8Array): CriuResponse {
  const response = new Decoded(bytes);
  const notify = response.message(5);
  const version = response.message(10);
  const features = response.message(8);
  return {
    type: RESPONSE_TYPES.find((name) => REQUEST_TYPES[name] === response.int(1)),
    success: response.bool(2) === true,
    errno: response.int(7) ?? 0,
    message: (response.string(9) ?? "").trim(),
    notify: notify && { script: notify.string(1) ?? "", pid: notify.int(2) ?? 0 },
    restoredPid: response.message(4)?.int(1),
    features: new Set(FEATURE_NAMES.filter((name) => features?.bool(FEATURES[name]) === true)),
    version: version && decodeVersion(version),
  };
}

/** criu_version. A version between two releases, with a gitid, counts as the next release. */
function decodeVersion(version: Decoded): CriuVersion {
  const [major = 0, minor = 0, sublevel = 0] = [version.int(1), version.int(2), version.int(4)];
  const isBetween = (version.string(3) ?? "") !== "";
  return {
    number: major * 10000 + (isBetween ? (minor + 1) * 100 : minor * 100 + sublevel),
    text: [major, minor, ...(sublevel === 0 ? [] : [sublevel])].join("."),
  };
}
