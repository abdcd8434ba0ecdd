import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Image config of the image-spec, as much of it as the tests need. */
export interface ImageConfig {
  readonly Entrypoint?: readonly string[];
  readonly Cmd?: readonly string[];
  readonly Env?: readonly string[];
  readonly User?: string;
}

const MEDIA = "application/vnd.oci.image";

/** An OCI image layout as a tar file: images by name, each with the same layer, which is the root file system. */
export function writeOciArchive(
  archive: string,
  rootfs: string,
  images: Readonly<Record<string, ImageConfig>>,
): void {
  const layout = `${archive}.layout`;
  const blobs = join(layout, "blobs/sha256");
  mkdirSync(blobs, { recursive: true });
  const blob = (mediaType: string, data: Buffer) => {
    const hash = createHash("sha256").update(data).digest("hex");
    writeFileSync(join(blobs, hash), data);
    return { mediaType, digest: `sha256:${hash}`, size: data.length };
  };
  const json = (mediaType: string, value: unknown) => blob(mediaType, Buffer.from(JSON.stringify(value)));
  const tar = `${archive}.layer`;
  execFileSync("tar", ["-C", rootfs, "--numeric-owner", "--owner=0", "--group=0", "-cf", tar, "."]);
  const layer = blob(`${MEDIA}.layer.v1.tar`, readFileSync(tar));
  const architecture = process.arch === "x64" ? "amd64" : process.arch;
  const manifests = Object.entries(images).map(([name, config]) => {
    const described = json(`${MEDIA}.config.v1+json`, {
      architecture,
      os: "linux",
      config,
      rootfs: { type: "layers", diff_ids: [layer.digest] },
    });
    const manifest = json(`${MEDIA}.manifest.v1+json`, {
      schemaVersion: 2,
      mediaType: `${MEDIA}.manifest.v1+json`,
      config: described,
      layers: [layer],
    });
    return { ...manifest, annotations: { "io.containerd.image.name": name } };
  });
  writeFileSync(join(layout, "oci-layout"), '{"imageLayoutVersion":"1.0.0"}');
  writeFileSync(join(layout, "index.json"), JSON.stringify({ schemaVersion: 2, manifests }));
  execFileSync("tar", ["-C", layout, "-cf", archive, "."]);
  for (const path of [layout, tar]) rmSync(path, { recursive: true });
}
