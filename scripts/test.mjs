// Runs the tests on the Bun that npm installed, and ends with a line that says how many passed.
// `npm test -- test/auth` runs a part; whatever else is given goes to `bun test`.
import { spawn } from "node:child_process";
import process from "node:process";

const args = process.argv.slice(2);
const child = spawn("bun", ["test", "--timeout", "60000", ...(args.length > 0 ? args : ["test"])], {
  stdio: ["ignore", "pipe", "pipe"],
  shell: process.platform === "win32",
});

let tail = "";
for (const [from, to] of [
  [child.stdout, process.stdout],
  [child.stderr, process.stderr],
]) {
  from.on("data", (chunk) => {
    to.write(chunk);
    tail = (tail + chunk).slice(-4096);
  });
}

const count = (word) => Number(new RegExp(`^\\s*(\\d+) ${word}$`, "m").exec(tail)?.[1] ?? 0);
child.on("close", (code) => {
  const passed = count("pass");
  const failed = count("fail");
  console.log(`\n${passed} passed, ${failed} failed, ${count("skip")} skipped`);
  process.exitCode = code === 0 && failed === 0 && passed > 0 ? 0 : 1;
});
