interface Material {
  readonly name: string;
  readonly version?: string;
  readonly license: string;
  readonly purl?: string;
  readonly url?: string;
  readonly parts?: readonly Material[];
}
interface Materials {
  readonly packages: readonly Material[];
  readonly bun: Material & { readonly parts: readonly Material[] };
}
interface Component {
  readonly type: string;
  readonly name: string;
  readonly version?: string;
  readonly hashes?: readonly { readonly alg: string; readonly content: string }[];
  readonly components?: readonly Component[];
}
export function packageOf(module: string): string | undefined;
export function materialsOf(build: { readonly modules: readonly string[]; readonly bun: string }): Materials;
export function licensesOf(materials: Materials): string[];
export function billOfMaterials(about: {
  readonly materials: Materials;
  readonly version: string;
  readonly arch: string;
  readonly epoch: number;
  readonly files: Readonly<Record<string, Buffer>>;
}): { readonly components: readonly Component[] };
