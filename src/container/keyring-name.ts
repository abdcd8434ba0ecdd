import { randomNumber } from "../../bindings/linux/random.ts";

/**
 * Name of a session keyring that is to be made. Nobody may know it before: another user, or another container, could make a keyring of
 * that name, which the kernel would then join, with all keys that the container puts there in reach of whoever made it. keyctl(2),
 * KEYCTL_JOIN_SESSION_KEYRING
 */
export function newKeyringName(id: string): string {
  return `_ses.${id}.${randomNumber()}`;
}
