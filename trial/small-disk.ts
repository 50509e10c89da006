import { spawnSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";

const mebibyte = 1024 * 1024;

/** A file system of its own, small enough to be filled. In memory (tmpfs), since that needs no device. */
export class SmallDisk {
  readonly folder: string;
  readonly #ballast: string;

  private constructor(folder: string) {
    this.folder = folder;
    this.#ballast = join(folder, "ballast");
  }

  /** Undefined where this user may not mount: on Linux that takes root. */
  static mount(mebibytes: number): SmallDisk | undefined {
    if (process.platform !== "linux") return undefined;
    const folder = mkdtempSync(join(tmpdir(), "baton-disk-"));
    const { status } = spawnSync("mount", ["-t", "tmpfs", "-o", `size=${mebibytes}m`, "baton-test", folder]);
    if (status === 0) return new SmallDisk(folder);
    rmSync(folder, { recursive: true });
    return undefined;
  }

  static mayMount(): boolean {
    const disk = SmallDisk.mount(1);
    disk?.unmount();
    return disk !== undefined;
  }

  /** Takes every byte that is left. */
  fill(): void {
    const file = openSync(this.#ballast, "a");
    try {
      for (let size = mebibyte; size >= 1; size = Math.floor(size / 4)) {
        while (writes(file, size));
      }
    } finally {
      closeSync(file);
    }
  }

  /** Gives back what `fill` took. */
  relieve(): void {
    rmSync(this.#ballast, { force: true });
  }

  unmount(): void {
    // Lazily: a relay that was killed may be a moment in going.
    spawnSync("umount", ["-l", this.folder]);
    rmSync(this.folder, { recursive: true, force: true });
  }
}

function writes(file: number, size: number): boolean {
  try {
    return writeSync(file, Buffer.alloc(size)) === size;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOSPC") return false;
    throw error;
  }
}
