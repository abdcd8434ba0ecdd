interface Made {
  readonly packages: readonly string[];
  readonly date: string;
}

export function fits(present: Made | undefined, wanted: readonly string[]): boolean;
export function isOld(present: Made, now?: number): boolean;
export function mirrorSettings(dump: string): string;
export function mirrorsOf(uris: string): string[];
