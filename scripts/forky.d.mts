export function mirrorsOf(uris: string): string[];
