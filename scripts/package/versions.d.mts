export function upstreamVersion(version: string): string;
