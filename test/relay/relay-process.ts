// A relay as a program of its own, for tests that run it on another runtime. It prints its URL and serves until SIGTERM.
import process from "node:process";
import { startRelay } from "./harness.ts";

const relay = await startRelay({ listener: "node:http2" });
process.once("SIGTERM", () => void relay.stop().then(() => process.exit(0)));
process.stdout.write(`${relay.url}\n`);
