import type { GlobalOptions } from "../container/context.ts";
import {
  annotationPointer,
  annotationProblems,
  DELEGATE_CGROUP,
  knownAnnotations,
  SUBGROUP,
} from "../spec/annotations.ts";
import type { Config } from "../spec/types.ts";
import { failure, type Tell, warning } from "./finding.ts";
import { mostSimilar } from "./similar.ts";

/** Reports annotations of crun that keep the container from being created, that have no effect, or that nobody knows. */
export function annotationRules(
  { allowedAnnotations = [], systemdCgroup = false, noCgroup = false }: GlobalOptions,
  config: Config,
  tell: Tell,
): void {
  const { annotations = {} } = config;
  for (const { pointer, message } of annotationProblems(config, allowedAnnotations))
    tell(failure("annotation", pointer, message));
  const warn = (key: string, message: string, hint?: string) =>
    tell(warning("annotation", annotationPointer(key), message, hint));
  for (const key of Object.keys(annotations)) {
    if (!key.startsWith("run.oci.") || knownAnnotations.includes(key)) continue;
    const meant = mostSimilar(key, knownAnnotations);
    const hint = meant === undefined ? undefined : `did you mean ${JSON.stringify(meant)}?`;
    warn(key, "is not an annotation that runts knows, and is ignored", hint);
  }
  if ((annotations[SUBGROUP] ?? "") !== "" && !systemdCgroup)
    warn(SUBGROUP, "has an effect with --systemd-cgroup only");
  if ((annotations[DELEGATE_CGROUP] ?? "") !== "" && noCgroup)
    tell(failure("annotation", annotationPointer(DELEGATE_CGROUP), "needs a cgroup, and there is none"));
}
