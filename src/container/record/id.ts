import { RuntsError } from "../../errors.ts";

/** runc's rule since 1.2, where 1.1 takes a comma as well: what may be a file name, and nothing that means another directory. */
const VALID_ID = /^[A-Za-z0-9_+.-]+$/;
/** NAME_MAX: the id names the container's directory. */
const LONGEST_ID = 255;

export function checkId(id: string): void {
  if (VALID_ID.test(id) && id !== "." && id !== ".." && id.length <= LONGEST_ID) return;
  const reason =
    id === "" ? "container id cannot be empty" : `invalid container ID format: ${JSON.stringify(id)}`;
  throw new RuntsError(reason, { operation: "create", errno: "EINVAL", path: id });
}
