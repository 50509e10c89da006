// `wrangler dev` with the development key that `npm start` has too, so that `npx baton token` and `join` sign what the worker
// takes. Whoever has settings of their own in .dev.vars keeps them.
import { execFileSync, spawn } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import process from "node:process";

const variables = ".dev.vars";

if (!existsSync(variables)) {
  // Makes the key where there is none; what is set for a relay beside is not for this one.
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("BATON_")));
  const args = ["bin/baton.mjs", "token", "--sub", "alice", "--session", "demo", "--data-dir", "data"];
  execFileSync(process.execPath, args, { env, stdio: ["ignore", "ignore", "inherit"] });
  const key = readFileSync("data/dev-key", "utf8").trim();
  writeFileSync(variables, `BATON_JWT_SECRET=${key}\n`, { mode: 0o600 });
  console.log(`${variables} was made, with the development key of ./data.`);
}
console.log("Once it is ready: npx baton join demo --sub alice --url http://127.0.0.1:8787\n");

// In an npm script `node` and `wrangler` are those that npm installed: wrangler needs Node 22.
const wrangler = spawn("wrangler", ["dev", ...process.argv.slice(2)], {
  stdio: "inherit",
  shell: process.platform === "win32",
  env: { ...process.env, WRANGLER_SEND_METRICS: "false" },
});
// A terminal's Ctrl-C reaches wrangler too, and it ends by itself.
process.on("SIGINT", () => undefined);
process.on("SIGTERM", () => wrangler.kill("SIGTERM"));
wrangler.on("exit", (code) => {
  process.exitCode = code ?? 1;
});
