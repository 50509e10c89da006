// Makes dist/ anew: what the package has in place of the sources, for Node and Bun, with declarations.
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";

const out = "dist";
rmSync(out, { recursive: true, force: true });
execFileSync("tsc", ["-p", "tsconfig.build.json"], { stdio: "inherit", shell: process.platform === "win32" });

// tsc gives the imports of .js files their new endings, those of declarations not (TypeScript 7.0.2; its issue 61037).
// It finds its way all the same; other tools look for a .ts file that is not there.
for (const name of readdirSync(out, { recursive: true, encoding: "utf8" })) {
  if (!name.endsWith(".d.ts")) continue;
  const path = join(out, name);
  const text = readFileSync(path, "utf8");
  writeFileSync(path, text.replaceAll(/(?<=(?:from |import\()"\.[^"\n]*)\.ts(?=")/g, ".js"));
}
