export function fill(template: string, texts: Readonly<Record<string, string>>): string;
export function scriptParts(start: string): { RENEW: string; CONTAINERS: string; STATE: string };
