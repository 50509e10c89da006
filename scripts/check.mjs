// Everything that can be told about the code without running it. Each step says what it does; all are run, so that one
// call shows every fault.
import { spawnSync } from "node:child_process";
import process from "node:process";

const steps = [
  ["format and lint", "biome", ["check", "."]],
  ["types", "tsc", ["-p", "."]],
  ["types of what runs on Workers", "tsc", ["-p", "tsconfig.worker.json"]],
  ["types of the pure core (no DOM, no Node, no Bun)", "tsc", ["-p", "src/session"]],
  ["contract: lint", "buf", ["lint"]],
  ["contract: no breaking change", "buf", ["breaking", "--against", "proto/baseline/codereview.v1.binpb"]],
  ["generated code and docs are fresh", "node", ["scripts/check-generated.mjs"]],
  ["the package is built", "node", ["scripts/build.mjs"]],
  ["the package as others find it (publint)", "publint", ["--strict"]],
  ["architecture", "bun", ["test", "test/architecture.test.ts"]],
  ["rules, tests and links", "bun", ["test", "test/spec.test.ts", "test/links.test.ts"]],
];

let failed = 0;
for (const [title, command, args] of steps) {
  const { status, stdout, stderr } = spawnSync(command, args, {
    encoding: "utf8",
    shell: process.platform === "win32",
  });
  console.log(`${status === 0 ? "ok  " : "FAIL"} ${title}`);
  if (status !== 0) {
    failed += 1;
    console.log(`${stdout}${stderr}`);
  }
}
process.exitCode = failed === 0 ? 0 : 1;
