import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { z } from "zod";

export const repository = resolve(import.meta.dirname, "../..");

const lockSchema = z.object({ packages: z.record(z.string(), z.object({ dev: z.boolean().optional() })) });

/** A project that has installed the package as npm would, without the network. */
export interface Project {
  readonly folder: string;
  /** Where the package lies in it. */
  readonly installed: string;
  /** The paths of all files of the package, sorted. */
  readonly files: readonly string[];
}

/**
 * Packs this tree and unpacks the tarball into a project of its own. Beside it stand links to what the lock file
 * installs with the package, and nothing that only its development needs: an import of that fails here.
 */
export function installPackage(): Project {
  const folder = mkdtempSync(join(tmpdir(), "baton-package-"));
  // What an earlier build left, of a source that is gone.
  mkdirSync(join(repository, "dist"), { recursive: true });
  writeFileSync(join(repository, "dist/left-over.js"), "");
  // `npm pack` builds first (prepack); what it says goes nowhere unless it fails.
  execFileSync("npm", ["pack", "--silent", "--pack-destination", folder], {
    cwd: repository,
    stdio: ["ignore", "pipe", "pipe"],
    shell: process.platform === "win32",
  });
  const tarball = readdirSync(folder).find((name) => name.endsWith(".tgz"));
  if (tarball === undefined) throw new Error("npm pack made no tarball");
  const installed = join(folder, "node_modules/baton");
  mkdirSync(installed, { recursive: true });
  execFileSync("tar", ["-xzf", join(folder, tarball), "-C", installed, "--strip-components=1"]);
  linkDependencies(folder);
  const files = readdirSync(installed, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(installed.length + 1))
    .sort();
  return { folder, installed, files };
}

function linkDependencies(folder: string): void {
  const lock = lockSchema.parse(JSON.parse(readFileSync(join(repository, "package-lock.json"), "utf8")));
  for (const [path, { dev }] of Object.entries(lock.packages)) {
    const isTopLevel = /^node_modules\/(@[^/]+\/)?[^/]+$/.test(path);
    // Packages for other platforms stand in the lock file alone.
    if (!isTopLevel || dev === true || !existsSync(join(repository, path))) continue;
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    symlinkSync(join(repository, path), join(folder, path), "junction");
  }
}
