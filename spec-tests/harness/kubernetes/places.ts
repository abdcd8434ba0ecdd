import { realpathSync } from "node:fs";
import { join } from "node:path";

/** The programs that scripts/kubernetes/build.mjs has built. */
export const PROGRAMS = realpathSync(
  join(import.meta.dirname, "../../../node_modules/.cache/kubernetes/bin"),
);

/** State of the cluster, in a file system that ends with it (isolated.sh). */
export const HOME = "/run/kubernetes";
export const LOGS = process.env.KUBERNETES_LOGS ?? join(HOME, "logs");
export const KUBECONFIG = join(HOME, "kubeconfig");

/** Address of the control plane on the bridge that connects the nodes. */
export const CONTROL_ADDRESS = "10.10.0.254";
export const NODES = 3;
