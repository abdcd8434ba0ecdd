/** Defined if Bun is the engine. */
declare const Bun: { hash(bytes: Uint8Array): bigint } | undefined;

/**
 * A non-cryptographic hash of 64 bits: it detects accidental differences, but collisions can be constructed. Bun's own hash is the fastest
 * there; under Node it is FNV-1a, since Node's hashes would have to be loaded. So the two engines give different values.
 */
export function hash64(bytes: Uint8Array): bigint {
  return typeof Bun === "undefined" ? fnv1a(bytes) : Bun.hash(bytes);
}

/** FNV-1a. */
function fnv1a(bytes: Uint8Array): bigint {
  let hash = 0xcbf29ce484222325n;
  for (const byte of bytes) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  return hash;
}
