// Makes dist-binary/baton: Bun and the whole command line in one file, for the machine that it is made on. It needs nothing
// beside it.
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, statSync } from "node:fs";
import process from "node:process";
import { gzipSync } from "node:zlib";

const out = "dist-binary/baton";
mkdirSync("dist-binary", { recursive: true });
const { version } = JSON.parse(readFileSync("package.json", "utf8"));
execFileSync(
  "bun",
  [
    "build",
    "--compile",
    "--minify-syntax",
    // Configuration is the environment alone.
    "--no-compile-autoload-dotenv",
    "--no-compile-autoload-bunfig",
    `--define=BATON_BUILT_VERSION=${JSON.stringify(version)}`,
    "src/cli/main.ts",
    `--outfile=${out}`,
  ],
  { stdio: "inherit", shell: process.platform === "win32" },
);
const mebibytes = (bytes) => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
console.log(
  `${out}: ${mebibytes(statSync(out).size)}, ${mebibytes(gzipSync(readFileSync(out), { level: 1 }).length)} compressed`,
);
