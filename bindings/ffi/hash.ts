/** Bun's own, where it is the engine. */
declare const Bun: { hash(bytes: Uint8Array): bigint } | undefined;

/**
 * A hash of 64 bits, which tells accidental differences; whoever wants to can make two contents that have the same one. The engines
 * have different ones: Bun's takes no time, and Node's would have to be loaded.
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
